//! One socket: `PING`, the client's messages, the queue, and the faults that strike it.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures::SinkExt as _;
use serde_json::Value;

use super::outlet::{Frame, Inlet, Outlet, queue};
use crate::sandbox::faults::{Cut, Fault, Host, Line, MALFORMED, Place, half, skew, spoil_row};
use crate::sandbox::routes::Shared;

/// How long a client may take to answer a close.
const FAREWELL: Duration = Duration::from_secs(1);
/// Close code for a reader that is too slow (RFC 6455: policy violation).
const TOO_SLOW: u16 = 1008;
/// Close code when the sandbox ends.
const GOING_AWAY: u16 = 1001;

/// What to do about a client's message.
#[derive(Debug)]
pub(in crate::sandbox) enum Said {
    /// Nothing (answers go through the outlet).
    Nothing,
    /// Say this at once.
    Reply(Utf8Bytes),
    /// End the connection with this code and reason.
    Close(u16, &'static str),
}

/// What a channel makes of its clients' messages. Dropped when the socket is gone.
pub(in crate::sandbox) trait Channel: Send + 'static {
    /// The path behind `/ws`.
    const PATH: &'static str;

    /// The socket is open; frames offered to the outlet reach it.
    fn opened(&mut self, outlet: Outlet);

    /// The client sent a text that is not `PING`.
    fn said(&mut self, text: &str) -> Said;

    /// Tokens that the client follows, for the faults' scopes.
    fn tokens(&self) -> Vec<String>;
}

/// Why a socket ends.
#[derive(Debug)]
enum End {
    /// The client is gone, or a write failed.
    Gone,
    /// With a closing handshake.
    Close(u16, &'static str),
    /// By resetting the connection.
    Reset,
}

/// A fault that waits for its frame.
#[derive(Debug)]
struct Doom {
    fault: Fault,
    frames_left: u32,
}

struct Session<C> {
    socket: WebSocket,
    line: Option<Line>,
    shared: Shared,
    channel: C,
    doom: Option<Doom>,
    /// Falls silent; whether `PING` is still answered.
    silent: Option<bool>,
}

/// Drives a socket until it ends.
pub(in crate::sandbox) async fn run<C: Channel>(
    socket: WebSocket,
    line: Option<Line>,
    shared: Shared,
    mut channel: C,
) {
    let (outlet, mut inlet) = queue();
    channel.opened(outlet);
    let mut session = Session {
        socket,
        line,
        shared,
        channel,
        doom: None,
        silent: None,
    };
    let end = match session.drive(&mut inlet).await {
        Ok(()) => End::Gone,
        Err(end) => end,
    };
    session.finish(end).await;
}

impl<C: Channel> Session<C> {
    async fn drive(&mut self, inlet: &mut Inlet) -> Result<(), End> {
        let mut armed = self.shared.faults().changes();
        let stop = self.shared.stop().clone();
        let overrun = inlet.overrun.clone();
        self.look()?;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Err(End::Close(GOING_AWAY, "")),
                () = overrun.cancelled() => return Err(End::Close(TOO_SLOW, "slow consumer")),
                changed = armed.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    self.look()?;
                }
                message = self.socket.recv() => match message {
                    None | Some(Err(_) | Ok(Message::Close(_))) => return Ok(()),
                    Some(Ok(Message::Text(text))) => self.answer(&text).await?,
                    Some(Ok(_)) => {}
                },
                batch = inlet.next() => {
                    let Some(mut frames) = batch else {
                        return Ok(());
                    };
                    // More may have come while the last was written.
                    while let Some(more) = inlet.ready() {
                        frames.extend(more);
                    }
                    tokio::select! {
                        () = stop.cancelled() => return Err(End::Close(GOING_AWAY, "")),
                        () = overrun.cancelled() => {
                            return Err(End::Close(TOO_SLOW, "slow consumer"));
                        }
                        written = self.deliver(&frames) => written?,
                    }
                    inlet.sent(&frames);
                }
            }
        }
    }

    async fn answer(&mut self, text: &str) -> Result<(), End> {
        if text == "PING" {
            return match self.silent {
                Some(false) => Ok(()),
                _ => self.send(Utf8Bytes::from_static("PONG")).await,
            };
        }
        match self.channel.said(text) {
            Said::Nothing => {}
            Said::Close(code, reason) => return Err(End::Close(code, reason)),
            Said::Reply(text) => {
                if self.silent.is_none() {
                    self.send(text).await?;
                }
            }
        }
        // A subscription may bring the socket into a fault's scope.
        self.look()
    }

    async fn send(&mut self, text: Utf8Bytes) -> Result<(), End> {
        let sent = self.socket.send(Message::Text(text)).await;
        sent.map_err(|_| End::Gone)
    }

    /// Lets a fault strike the socket as a whole.
    fn look(&mut self) -> Result<(), End> {
        if self.doom.is_none() && self.silent.is_none() && !self.shared.faults().idle() {
            let tokens = self.channel.tokens();
            let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
            let place = place::<C>(&tokens);
            let fault = self.shared.faults().first(&place, |fault| {
                matches!(
                    fault,
                    Fault::SocketClose { .. }
                        | Fault::SocketReset { .. }
                        | Fault::SocketStall { .. }
                )
            });
            self.doom = fault.map(|fault| Doom {
                frames_left: match fault {
                    Fault::SocketClose { after_frames, .. }
                    | Fault::SocketReset { after_frames }
                    | Fault::SocketStall { after_frames, .. } => after_frames,
                    _ => 0,
                },
                fault,
            });
        }
        if self.doom.as_ref().is_some_and(|doom| doom.frames_left == 0) {
            return match self.doom.take().map(|doom| doom.fault) {
                Some(Fault::SocketClose { code, .. }) => Err(End::Close(code, "")),
                Some(Fault::SocketStall { pong, .. }) => {
                    self.silent = Some(pong);
                    // Not even the protocol's own pongs get out.
                    if !pong && let Some(line) = &self.line {
                        line.mute();
                    }
                    Ok(())
                }
                _ => Err(End::Reset),
            };
        }
        Ok(())
    }

    /// Writes frames out, as the faults let them.
    async fn deliver(&mut self, frames: &[Frame]) -> Result<(), End> {
        for frame in frames {
            if self.silent.is_some() {
                return Ok(());
            }
            if self.shared.faults().idle() && self.doom.is_none() {
                self.feed(frame.text.clone()).await?;
            } else {
                self.deliver_with_faults(frame).await?;
            }
        }
        self.socket.flush().await.map_err(|_| End::Gone)
    }

    async fn feed(&mut self, text: Utf8Bytes) -> Result<(), End> {
        let fed = self.socket.feed(Message::Text(text)).await;
        fed.map_err(|_| End::Gone)
    }

    async fn deliver_with_faults(&mut self, frame: &Frame) -> Result<(), End> {
        let faults = self.shared.faults().clone();
        self.look()?;
        if self.silent.is_some() {
            return Ok(());
        }
        let tokens = frame.tokens.each_ref().map(String::as_str);
        // A list of books on subscribing is about many tokens: its text names them.
        let place = Place {
            texts: [frame.text.as_str(), ""],
            ..place::<C>(&tokens)
        };
        let late = faults.delay(&place);
        if !late.is_zero() {
            self.socket.flush().await.map_err(|_| End::Gone)?;
            tokio::time::sleep(late).await;
        }
        if frame.has_changes
            && faults
                .first(&place, |fault| matches!(fault, Fault::SocketMidBook {}))
                .is_some()
        {
            return self.break_off(&frame.text).await;
        }
        let mut text = spoiled(&faults, &place, &frame.text);
        match faults.first(&place, |fault| matches!(fault, Fault::Truncated { .. })) {
            Some(Fault::Truncated { cut: Cut::Honest }) => text = half(&text).to_owned().into(),
            Some(_) => return self.break_off(&text).await,
            None => {}
        }
        let repeat = faults.first(&place, |fault| matches!(fault, Fault::SocketRepeat { .. }));
        let times = match repeat {
            Some(Fault::SocketRepeat { times }) => 1 + times,
            _ => 1,
        };
        for _ in 0..times {
            self.feed(text.clone()).await?;
        }
        if let Some(doom) = &mut self.doom {
            doom.frames_left = doom.frames_left.saturating_sub(1);
            if doom.frames_left == 0 {
                self.socket.flush().await.map_err(|_| End::Gone)?;
                self.look()?;
            }
        }
        Ok(())
    }

    /// Sends half of a frame and resets the connection.
    async fn break_off(&mut self, text: &Utf8Bytes) -> Result<(), End> {
        self.socket.flush().await.map_err(|_| End::Gone)?;
        if let Some(line) = &self.line {
            line.cut_after(text.len() as u64 / 2, true);
            // Fails half way through, which is the point.
            drop(self.socket.send(Message::Text(text.clone())).await);
            // A reset may overtake what the client has not read yet.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(End::Reset)
    }

    async fn finish(mut self, end: End) {
        match end {
            End::Gone => {}
            End::Reset => {
                if let Some(line) = &self.line {
                    line.end_with_reset();
                }
            }
            End::Close(code, reason) => {
                let close = Message::Close(Some(CloseFrame {
                    code,
                    reason: reason.into(),
                }));
                let farewell = async {
                    if self.socket.send(close).await.is_ok() {
                        // Until the client has said goodbye too.
                        while let Some(Ok(_)) = self.socket.recv().await {}
                    }
                };
                // A client that does not answer in time is left where it stands.
                drop(tokio::time::timeout(FAREWELL, farewell).await);
            }
        }
    }
}

fn place<'a, C: Channel>(tokens: &'a [&'a str]) -> Place<'a> {
    Place {
        host: Some(Host::Ws),
        path: C::PATH,
        method: "GET",
        texts: ["", ""],
        tokens,
    }
}

/// A frame with what the faults do to its text.
fn spoiled(
    faults: &crate::sandbox::faults::Faults,
    place: &Place<'_>,
    text: &Utf8Bytes,
) -> Utf8Bytes {
    let content = |fault: &Fault| {
        matches!(
            fault,
            Fault::Rows { .. } | Fault::ClockSkew { .. } | Fault::Malformed {}
        )
    };
    if !faults.any(place, content) {
        return text.clone();
    }
    let mut text = text.clone();
    if let Ok(mut value) = serde_json::from_str::<Value>(&text) {
        let old = value.clone();
        if let Some(Fault::ClockSkew { ms }) =
            faults.first(place, |fault| matches!(fault, Fault::ClockSkew { .. }))
        {
            skew(&mut value, ms);
        }
        if let Some(Fault::Rows { spoil }) =
            faults.first(place, |fault| matches!(fault, Fault::Rows { .. }))
        {
            match &mut value {
                Value::Array(rows) => {
                    for (row, way) in rows.iter_mut().zip(spoil) {
                        spoil_row(row, way);
                    }
                }
                one => {
                    for way in spoil {
                        spoil_row(one, way);
                    }
                }
            }
        }
        if value != old {
            text = value.to_string().into();
        }
    }
    if faults
        .first(place, |fault| matches!(fault, Fault::Malformed {}))
        .is_some()
    {
        text = format!("{MALFORMED}{text}").into();
    }
    text
}
