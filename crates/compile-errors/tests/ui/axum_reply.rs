use realtime::{Session, error::SendError};

fn send(session: &Session) -> Result<(), SendError> {
    session.send("r", axum::Json(1))
}

fn main() {
    let _ = send;
}
