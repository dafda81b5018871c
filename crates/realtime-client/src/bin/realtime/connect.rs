//! `realtime connect`: what is typed goes out, what comes is printed.

use std::{
    collections::HashSet,
    io::{BufRead, Read},
    time::Duration,
};

use futures::StreamExt;
use realtime_client::{Codec, Incoming, MessageId, State, Text};
use realtime_codec_json::JsonCodec;
use realtime_core::codec::Frame;
use tokio::{sync::mpsc, time::Instant};

use crate::{args::ConnectArgs, asked::Asked, failure::Failure, output, signals};

/// The random part of it that is waited is as good as never over before the end is told.
const LONG: Duration = Duration::from_secs(24 * 3600);
/// The longest line, in bytes.
const LONGEST: u64 = 16 << 20;
pub(crate) async fn run(args: ConnectArgs) -> Result<(), Failure> {
    let mut ended = std::pin::pin!(signals::ended()?);
    // It doesn't come back: it ends while it would wait to.
    let client = args.server.client()?.max_attempts(1);
    let client = client.backoff(LONG, LONG).connect()?;
    let (mut messages, mut questions) = (client.messages(), client.on_request());
    tokio::select! {
        biased;
        () = &mut ended => {
            client.close().await;
            return Ok(());
        }
        online = client.online() => online?,
    }
    let mut state = client.state();
    let mut lines = lines();
    let mut asked = Asked::default();
    // Requests without an answer, and until when they are waited for once the input has ended.
    let mut open: HashSet<MessageId> = HashSet::new();
    let mut until: Option<Instant> = None;
    loop {
        if until.is_some_and(|until| open.is_empty() || Instant::now() >= until) {
            break;
        }
        let timeout = tokio::time::sleep_until(until.unwrap_or_else(Instant::now));
        tokio::select! {
            // What has come is printed before the end is told, unless somebody wants to end it.
            biased;
            () = &mut ended => {
                client.close().await;
                return Ok(());
            }
            Some(incoming) = messages.next() => match incoming {
                Incoming::Message(message) => {
                    output::print(&message)?;
                    if let Some(id) = message.message_id() {
                        open.remove(id);
                    }
                }
                Incoming::Dropped(count) => eprintln!("realtime: {count} messages came too fast"),
                _ => {}
            },
            Some(question) = questions.next() => {
                output::print(question.message())?;
                asked.add(question);
            }
            left = state.wait_for(|state| !state.is_online()) => {
                return match left.map(|state| state.clone()) {
                    Ok(State::Waiting { why: end, .. } | State::Ended(end)) => closed(end),
                    _ => Err("the client has died".to_owned().into()),
                };
            }
            line = lines.recv(), if until.is_none() => match line {
                None => until = Some(Instant::now() + args.server.timeout()),
                Some(line) => {
                    let line = line?;
                    if line.trim().is_empty() {
                        continue;
                    }
                    let Ok(message) = JsonCodec.decode(Frame::Text(Text::from(line))) else {
                        eprintln!("realtime: a line is no envelope, and was not sent");
                        continue;
                    };
                    if let Some(id) = message.message_id() {
                        open.insert(id.clone());
                    }
                    asked.send(&client, message).await?;
                }
            },
            () = timeout, if until.is_some() => {}
        }
    }
    let unanswered = open.len();
    client.close().await;
    match unanswered {
        0 => Ok(()),
        _ => Err(format!("{unanswered} requests were not answered in time").into()),
    }
}

fn closed(end: realtime_client::End) -> Result<(), Failure> {
    match end.code {
        Some(1000) => Ok(()),
        _ => Err(end.into()),
    }
}

/// The lines of the standard input. A thread of its own reads them, which ends with the program.
fn lines() -> mpsc::Receiver<std::io::Result<String>> {
    let (sender, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = String::new();
            let read = (&mut input).take(LONGEST).read_line(&mut line);
            let read = read.map(|read| (read > 0).then_some(line));
            let is_over = !matches!(read, Ok(Some(_)));
            if let Some(line) = read.transpose()
                && sender.blocking_send(line).is_err()
            {
                return;
            }
            if is_over {
                return;
            }
        }
    });
    lines
}
