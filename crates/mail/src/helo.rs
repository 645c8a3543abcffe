//! Mail servers that know no EHLO: every client must then go on with HELO (RFC 5321, 4.1.1.1), and the library does not.
//! TLS and logins came with EHLO, so that this is for connections without either.

use lettre::address::Envelope;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// A reply's line has at most 512 bytes (RFC 5321, 4.5.3.1.5); a server that talks without end is cut off.
const MAX_REPLY_BYTES: u64 = 16 << 10;

/// Why a mail was not taken.
pub(crate) enum HeloError {
    /// The server said so.
    Reply(u16),
    /// The conversation broke off.
    Broken,
}

impl From<std::io::Error> for HeloError {
    fn from(_: std::io::Error) -> Self {
        Self::Broken
    }
}

/// Hands one mail over. How long that may take is for the caller to say.
pub(crate) async fn send(
    (host, port): (&str, u16),
    hello: &str,
    envelope: &Envelope,
    mail: &[u8],
) -> Result<(), HeloError> {
    let mut stream = BufReader::new(TcpStream::connect((host, port)).await?);
    expect(&mut stream, 220).await?;
    let from = envelope.from().map(ToString::to_string).unwrap_or_default();
    command(&mut stream, &format!("HELO {hello}"), 250).await?;
    command(&mut stream, &format!("MAIL FROM:<{from}>"), 250).await?;
    for to in envelope.to() {
        command(&mut stream, &format!("RCPT TO:<{to}>"), 250).await?;
    }
    command(&mut stream, "DATA", 354).await?;
    stream.write_all(&stuffed(mail)).await?;
    stream.flush().await?;
    expect(&mut stream, 250).await?;
    // The mail is theirs; whether they heard the farewell does not matter.
    let _ = stream.write_all(b"QUIT\r\n").await;
    Ok(())
}

async fn command(stream: &mut BufReader<TcpStream>, line: &str, code: u16) -> Result<(), HeloError> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await?;
    expect(stream, code).await
}

/// Reads one reply, of one line or several.
async fn expect(stream: &mut BufReader<TcpStream>, code: u16) -> Result<(), HeloError> {
    let mut reply = stream.take(MAX_REPLY_BYTES);
    loop {
        let mut line = String::new();
        reply.read_line(&mut line).await?;
        let found = line.get(..3).and_then(|code| code.parse::<u16>().ok());
        let found = found.ok_or(HeloError::Broken)?;
        if line.as_bytes().get(3) == Some(&b'-') {
            continue;
        }
        return if found == code {
            Ok(())
        } else {
            Err(HeloError::Reply(found))
        };
    }
}

/// The mail as it goes over the wire: lines that begin with a dot get another, and a lone dot ends it (RFC 5321, 4.5.2).
fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(mail.len() + 16);
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{net::TcpListener, task::JoinHandle};

    use super::*;
    use crate::{Carrier, DeliveryError, Message, SmtpCarrier, SmtpConfig, SmtpTls, Threepid};

    #[test]
    fn a_line_that_is_a_dot_does_not_end_a_mail() {
        assert_eq!(stuffed(b"a\r\n.\r\n..b\r\nc"), b"a\r\n..\r\n...b\r\nc\r\n.\r\n");
    }

    /// A server of 1982, which answers the recipient so; it gives the lines that it was told.
    async fn server(recipient: &'static str) -> (u16, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = tokio::spawn(async move {
            let mut told = Vec::new();
            for _ in 0..2 {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = BufReader::new(stream);
                stream.write_all(b"220-hello\r\n220 there\r\n").await.unwrap();
                let mut in_mail = false;
                let mut line = String::new();
                while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
                    let answer = match line.trim_end() {
                        "." => {
                            in_mail = false;
                            "250 ok"
                        }
                        _ if in_mail => "",
                        "DATA" => {
                            in_mail = true;
                            "354 go on"
                        }
                        said if said.starts_with("HELO") || said.starts_with("MAIL") => "250 ok",
                        said if said.starts_with("RCPT") => recipient,
                        _ => "500 what?",
                    };
                    told.push(std::mem::take(&mut line).trim_end().to_owned());
                    if !answer.is_empty()
                        && stream
                            .write_all(format!("{answer}\r\n").as_bytes())
                            .await
                            .is_err()
                    {
                        break;
                    }
                }
            }
            told
        });
        (port, told)
    }

    async fn deliver(port: u16) -> Result<(), DeliveryError> {
        let config = SmtpConfig {
            host: "127.0.0.1".to_owned(),
            port: Some(port),
            tls: SmtpTls::None,
            login: None,
            from: "Test <from@test.example>".to_owned(),
            extra_ca_files: Vec::new(),
        };
        let carrier: Arc<dyn Carrier> = Arc::new(SmtpCarrier::new(&config).unwrap());
        let message = Message {
            to: Threepid::email("to@test.example").unwrap(),
            id: "1".to_owned(),
            subject: "Hello".to_owned(),
            text: ".\nhttps://test.example/".to_owned(),
            html: "<p>Hello</p>".to_owned(),
            written_ms: 0,
        };
        carrier.deliver(&message).await
    }

    #[tokio::test]
    async fn a_server_that_knows_no_ehlo_is_spoken_to_in_the_words_of_rfc_821() {
        let (port, told) = server("250 ok").await;
        deliver(port).await.unwrap();
        let told = told.await.unwrap();
        for line in [
            "HELO test.example",
            "MAIL FROM:<from@test.example>",
            "RCPT TO:<to@test.example>",
            "Subject: Hello",
            "https://test.example/",
        ] {
            assert!(told.iter().any(|said| said == line), "{line}: {told:?}");
        }
    }

    #[tokio::test]
    async fn what_such_a_server_refuses_is_refused() {
        let (port, _told) = server("550 nobody").await;
        assert!(matches!(deliver(port).await, Err(DeliveryError::Never(_))));
        let (port, _told) = server("451 later").await;
        assert!(matches!(deliver(port).await, Err(DeliveryError::Later(_))));
    }
}
