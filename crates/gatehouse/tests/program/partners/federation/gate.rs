//! What stands before a server and can be shut.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Everybody comes through while it is open. When it is shut, whoever is inside is cut off.
pub(super) struct Gate {
    is_open: watch::Sender<bool>,
}

impl Gate {
    /// At the port that the server is known by, before the one where it listens.
    pub(super) async fn build(known: u16, behind: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", known)).await.unwrap();
        let (is_open, seen) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((outside, _)) = listener.accept().await {
                let mut seen = seen.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        // An end without an answer is what either side expects here.
                        _ = through(outside, behind) => {}
                        _ = seen.wait_for(|is_open| !is_open) => {}
                    }
                });
            }
        });
        Self { is_open }
    }

    pub(super) fn shut(&self) {
        self.is_open.send_replace(false);
    }

    pub(super) fn open(&self) {
        self.is_open.send_replace(true);
    }
}

async fn through(mut outside: TcpStream, behind: u16) -> std::io::Result<()> {
    let mut inside = TcpStream::connect(("127.0.0.1", behind)).await?;
    copy_bidirectional(&mut outside, &mut inside).await?;
    Ok(())
}
