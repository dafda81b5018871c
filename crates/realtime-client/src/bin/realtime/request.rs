//! `realtime request`: one question.

use std::io::Read;

use realtime_client::{Message, Payload};

use crate::{args::RequestArgs, failure::Failure, output};

/// The most bytes of a question.
const LONGEST: u64 = 16 << 20;

pub(crate) async fn run(args: RequestArgs) -> Result<(), Failure> {
    let data = payload(args.data)?;
    let client = args.server.connect().await?;
    let question = Message::new(args.route, data).map_err(|e| e.to_string())?;
    let answer = client
        .request_message(question, args.server.timeout())
        .await?;
    let mut data = answer.data().as_bytes().to_vec();
    // Bytes are printed as they are, and no answer is no line.
    if !answer.data().is_binary() && !data.is_empty() {
        data.push(b'\n');
    }
    output::write(&data)?;
    client.close().await;
    Ok(())
}

pub(crate) fn payload(data: Option<String>) -> Result<Payload, Failure> {
    let text = match data {
        None => return Ok(Payload::empty()),
        Some(dash) if dash == "-" => {
            let mut text = String::new();
            std::io::stdin()
                .lock()
                .take(LONGEST)
                .read_to_string(&mut text)?;
            text
        }
        Some(text) => text,
    };
    let payload = Payload::from(text).into_json();
    payload.map_err(|_| "expected data that is one JSON value".to_owned().into())
}
