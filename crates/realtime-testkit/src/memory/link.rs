//! The client's end of the pipe: a task that reads, and one that writes what the protocol asks
//! for.
//!
//! They are two, so that a gateway that doesn't read for a while stops no reading here.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use realtime_core::{
    CloseCode, Message,
    codec::{Codec, CodecError, Frame},
};
use realtime_websocket::{Decoder, Event, Violation, frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    sync::{Mutex, mpsc, watch},
    task::JoinSet,
};

use super::End;
use crate::client::{Client, KEY};

/// How many messages wait for the test before the client stops reading.
pub(super) const INBOX: usize = 16 * 1024;

const READ_BYTES: usize = 16 * 1024;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What the client holds of the link. Dropped, the pipe is cut.
#[derive(Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
    reads: watch::Sender<bool>,
    /// The payload of the last pong.
    pongs: watch::Receiver<Bytes>,
    /// How it ended, once it has.
    end: watch::Receiver<Option<Result<End, Violation>>>,
    pub(super) inbox: mpsc::Receiver<Result<Message, CodecError>>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    write: Mutex<WriteHalf<DuplexStream>>,
    answers_pings: AtomicBool,
    /// A close frame was sent.
    closing: AtomicBool,
}

impl Shared {
    async fn write(&self, frame: &[u8]) -> io::Result<()> {
        self.write.lock().await.write_all(frame).await
    }
}

fn control(opcode: u8, payload: &[u8]) -> Bytes {
    frame::fragment(opcode, true, payload, Some(KEY))
}

impl Link {
    pub(super) fn new(client: Client<DuplexStream>, codec: Arc<dyn Codec>) -> Self {
        let Client {
            stream,
            decoder,
            events,
            ..
        } = client;
        let (read, write) = tokio::io::split(stream);
        let shared = Arc::new(Shared {
            write: Mutex::new(write),
            answers_pings: AtomicBool::new(true),
            closing: AtomicBool::new(false),
        });
        let (reads, may_read) = watch::channel(true);
        let (pong, pongs) = watch::channel(Bytes::new());
        let (ended, end) = watch::channel(None);
        let (arrived, inbox) = mpsc::channel(INBOX);
        let (answer, answers) = watch::channel(Bytes::new());
        let reader = Reader {
            shared: Arc::clone(&shared),
            codec,
            read,
            decoder,
            events,
            may_read,
            pong,
            answer,
            arrived,
            close: None,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(write_answers(Arc::clone(&shared), answers));
        let closes = Arc::clone(&shared);
        tasks.spawn(async move {
            let end = reader.run().await;
            ended.send_replace(Some(end));
            // The gateway waits for this, as it does for a socket's end.
            let _already_gone = closes.write.lock().await.shutdown().await;
        });
        Self {
            shared,
            reads,
            pongs,
            end,
            inbox,
            _tasks: tasks,
        }
    }

    /// Writes a frame whole, in turn with the others.
    pub(super) async fn write(&self, frame: &[u8]) -> io::Result<()> {
        if self.end.borrow().is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.shared.write(frame).await
    }

    pub(super) async fn close(&self, code: CloseCode, reason: &str) -> io::Result<()> {
        self.shared.closing.store(true, SeqCst);
        let payload = frame::close_payload(code.as_u16(), reason);
        self.write(&control(CLOSE, &payload)).await
    }

    /// Pings, and waits for the pong.
    pub(super) async fn ping(&mut self, payload: &[u8]) -> io::Result<()> {
        self.write(&control(PING, payload)).await?;
        let ended = |_| io::ErrorKind::UnexpectedEof.into();
        let pong = self.pongs.wait_for(|pong| pong == payload).await;
        pong.map(drop).map_err(ended)
    }

    pub(super) fn answer_pings(&self, answers: bool) {
        self.shared.answers_pings.store(answers, SeqCst);
    }

    pub(super) fn set_reading(&self, reads: bool) {
        self.reads.send_replace(reads);
    }

    pub(super) async fn ended(&mut self) -> Result<End, Violation> {
        // It fails only if the reader's task panics or its runtime is gone.
        match self.end.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(end)) => end.clone(),
            _ => Ok(End::default()),
        }
    }
}

/// Of several answers that wait, the last one counts: the RFC allows it for pongs, and nothing
/// follows a close frame.
async fn write_answers(shared: Arc<Shared>, mut answers: watch::Receiver<Bytes>) {
    while answers.changed().await.is_ok() {
        let answer = answers.borrow_and_update().clone();
        if shared.write(&answer).await.is_err() {
            return;
        }
    }
}

struct Reader {
    shared: Arc<Shared>,
    codec: Arc<dyn Codec>,
    read: ReadHalf<DuplexStream>,
    decoder: Decoder,
    events: VecDeque<Event>,
    may_read: watch::Receiver<bool>,
    pong: watch::Sender<Bytes>,
    answer: watch::Sender<Bytes>,
    arrived: mpsc::Sender<Result<Message, CodecError>>,
    close: Option<End>,
}

impl Reader {
    async fn run(mut self) -> Result<End, Violation> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            while let Some(event) = self.events.pop_front() {
                self.on_event(event).await;
            }
            let may_read = self.may_read.wait_for(|reads| *reads).await.is_ok();
            let read = tokio::select! {
                biased;
                changed = self.may_read.changed(), if may_read => match changed {
                    Ok(()) => continue,
                    Err(_) => break,
                },
                read = self.read.read(&mut buffer), if may_read => read.unwrap_or(0),
                else => break,
            };
            if read == 0 {
                break;
            }
            let mut bytes = &buffer[..read];
            while let Some(event) = self.decoder.decode(&mut bytes)? {
                self.events.push_back(event);
            }
        }
        Ok(self.close.unwrap_or_default())
    }

    async fn on_event(&mut self, event: Event) {
        match event {
            Event::Text(text) => self.on_frame(Frame::Text(text.into())).await,
            Event::Binary(bytes) => self.on_frame(Frame::Binary(bytes)).await,
            Event::Ping(payload) => {
                if self.shared.answers_pings.load(SeqCst) {
                    self.answer.send_replace(control(PONG, &payload));
                }
            }
            Event::Pong(payload) => drop(self.pong.send_replace(payload)),
            Event::Close(close) => {
                let payload = close
                    .as_ref()
                    .map(|close| frame::close_payload(close.code, ""));
                if !self.shared.closing.swap(true, SeqCst) {
                    let echo = control(CLOSE, &payload.unwrap_or_default());
                    self.answer.send_replace(echo);
                }
                self.close = Some(match close {
                    Some(close) => End {
                        code: CloseCode::new(close.code).ok(),
                        reason: close.reason,
                        close_frame: true,
                    },
                    None => End {
                        close_frame: true,
                        ..End::default()
                    },
                });
            }
        }
    }

    async fn on_frame(&mut self, frame: Frame) {
        // Where the inbox is full it waits, as it does for a client that doesn't keep up.
        let _client_is_gone = self.arrived.send(self.codec.decode(frame)).await;
    }
}
