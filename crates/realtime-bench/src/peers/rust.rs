//! The peers that are written in Rust: subcommands of this program, with the feature `peers`.

use clap::{Args, ValueEnum};
use realtime::BoxError;

/// The options of `peer`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which one.
    #[arg(value_enum)]
    name: Name,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    AxumBroadcast,
    AxumChannel,
    AxumChannelTuned,
    #[cfg(feature = "tls")]
    AxumTls,
    Socketioxide,
}

/// Serves until it is killed.
#[cfg(feature = "peers")]
pub(crate) async fn serve(options: Options) -> Result<(), BoxError> {
    use super::{axum, socketioxide};

    let listener = realtime::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    match options.name {
        Name::AxumBroadcast => axum::with_broadcast(listener).await,
        Name::AxumChannel => axum::with_channels(listener, None).await,
        Name::AxumChannelTuned => axum::with_channels(listener, Some(4096)).await,
        #[cfg(feature = "tls")]
        Name::AxumTls => axum::with_tls(listener).await,
        Name::Socketioxide => socketioxide::serve(listener).await,
    }
}

/// Says what is missing.
#[cfg(not(feature = "peers"))]
pub(crate) async fn serve(options: Options) -> Result<(), BoxError> {
    let name = options.name;
    Err(format!("{name:?} needs a build with `--features peers`").into())
}
