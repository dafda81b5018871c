//! What `bind` makes of an address.

use std::{io::ErrorKind, net::SocketAddr};

use realtime::{Bind, bind};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};

#[tokio::test]
async fn a_port_belongs_to_one_listener_unless_it_is_shared() {
    let first = Bind::new()
        .reuse_port(true)
        .bind("127.0.0.1:0")
        .await
        .unwrap();
    let addr = first.local_addr().unwrap();
    let alone = bind(addr).await.unwrap_err();
    assert_eq!(alone.kind(), ErrorKind::AddrInUse);
    assert!(alone.to_string().contains(&addr.to_string()), "{alone}");
    let second = Bind::new().reuse_port(true).bind(addr).await.unwrap();
    assert_eq!(second.local_addr().unwrap(), addr);
    // Each connection comes to one of them.
    let (mut at_first, mut at_second) = (0, 0);
    for _ in 0..64 {
        let _client = TcpStream::connect(addr).await.unwrap();
        tokio::select! {
            accepted = first.accept() => { accepted.unwrap(); at_first += 1 }
            accepted = second.accept() => { accepted.unwrap(); at_second += 1 }
        }
    }
    assert!(at_first > 0 && at_second > 0, "{at_first}, {at_second}");
}

#[tokio::test]
async fn a_port_can_be_used_again_at_once() {
    let connect = async |listener: &TcpListener| {
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    };
    let listener = bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (mut client, accepted) = connect(&listener).await;
    // Who closes first is left in TIME_WAIT.
    drop((accepted, listener));
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    drop(client);
    let again = bind(addr).await.unwrap();
    connect(&again).await;
}

#[tokio::test]
async fn of_several_addresses_the_first_that_works_is_used() {
    let taken = bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let _taken = bind(taken).await.unwrap();
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listener = bind(&[taken, free][..]).await.unwrap();
    assert_ne!(listener.local_addr().unwrap(), taken);
    let none = bind(&[taken, taken][..]).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::AddrInUse);
    let none = bind(&[][..] as &[SocketAddr]).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::InvalidInput);
    assert!(bind("no-such-host.invalid:1").await.is_err());
    let (v6, v4) = (bind("[::1]:0").await, bind(("localhost", 0)).await);
    assert!(v6.is_ok() && v4.is_ok(), "{v6:?}, {v4:?}");
}
