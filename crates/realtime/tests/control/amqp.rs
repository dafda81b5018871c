//! The same over RabbitMQ.

use realtime::{connect, node::NodeId};
use realtime_testkit::servers::RabbitMq;

use super::{answers::all_clients_answer, builder, nodes::three_nodes_do_as_one, support::Server};

async fn nodes(url: &str) -> [Server; 3] {
    let mut servers = Vec::new();
    for n in 0..3 {
        let id: NodeId = format!("node-{n}").parse().unwrap();
        let broker = connect::broker(url).unwrap();
        let gateway = builder().node_id(id).broker(broker).build().unwrap();
        gateway.start().await.unwrap();
        servers.push(Server::start(gateway).await);
    }
    servers.try_into().ok().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_do_as_one_and_all_clients_answer_over_rabbitmq() {
    let rabbitmq = RabbitMq::start().await.unwrap();
    three_nodes_do_as_one(nodes(&rabbitmq.url()).await).await;
    all_clients_answer(nodes(&rabbitmq.url()).await).await;
}
