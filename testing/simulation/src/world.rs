//! The servers of a plan, and what happens to them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, anyhow, bail};
use gatehouse_events::{Clock, SignatureNeeded, SigningKey};
use gatehouse_rooms::remote_servers::ServerKeys as _;
use parking_lot::Mutex;
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};
use tokio::time::{Instant, sleep_until};

use crate::{
    dice::Dice,
    house::{House, Running, name_of},
    lies::Liar,
    network::Network,
    plan::{Person, Plan, Trouble},
    trace::Trace,
};

/// The time at which all worlds begin, in milliseconds since 1970.
const BEGIN_MS: u64 = 1_790_000_000_000;

/// What a server said it has done.
#[derive(Debug, Clone)]
pub struct Ack {
    /// On which server.
    pub server: usize,
    /// Who.
    pub sender: OwnedUserId,
    /// The event.
    pub event_id: OwnedEventId,
    /// What it says, if it is a message.
    pub body: Option<String>,
    /// The servers that were in the room, as this one saw it.
    pub goes_to: Vec<OwnedServerName>,
}

/// The servers of a plan.
pub struct World {
    /// What it is made from.
    pub plan: Plan,
    /// The servers.
    pub houses: Vec<Arc<House>>,
    /// What is between them.
    pub network: Arc<Network>,
    /// What has happened.
    pub trace: Arc<Trace>,
    /// The room.
    pub room: OwnedRoomId,
    /// What was acknowledged.
    pub acks: Mutex<Vec<Ack>>,
    is_good: Arc<AtomicBool>,
    began: Instant,
}

impl World {
    /// Servers with their users, all up, and no room yet.
    pub async fn build(plan: &Plan) -> Result<Self> {
        let began = Instant::now();
        let mut dice = Dice::new(plan.seed ^ 0x51_AB);
        let trace = Arc::new(Trace::begin());
        // Nothing goes wrong before the room is there.
        let is_good = Arc::new(AtomicBool::new(true));
        let liar = plan.has_liar.then(|| liar(plan)).transpose()?;
        let network = Arc::new(Network::new(
            Arc::clone(&trace),
            plan.servers,
            plan.weather,
            liar,
            dice.apart(),
        ));
        let mut houses = Vec::new();
        for number in 0..plan.servers {
            let skew_ms = plan.skews_ms.get(number).copied().unwrap_or(0);
            let house = House::new(
                number,
                clock(began, skew_ms),
                plan.tempers.get(number).copied().unwrap_or_default(),
                Arc::clone(&is_good),
                dice.apart(),
            )?;
            house.start(&network)?;
            house.make_users().await?;
            houses.push(Arc::new(house));
        }
        let room = OwnedRoomId::try_from(format!("!room:{}", name_of(0)?))?;
        Ok(Self {
            plan: plan.clone(),
            houses,
            network,
            trace,
            room,
            acks: Mutex::default(),
            is_good,
            began,
        })
    }

    /// Everybody learns everybody's key: the servers have met before. Without a key an event counts for nothing, and with the
    /// state that a server is let in with it is lost for good; nobody can make servers agree then.
    pub async fn introduce(&self) -> Result<()> {
        for house in &self.houses {
            let needed = self.houses.iter().map(|other| SignatureNeeded {
                server: other.name.clone(),
                key_ids: vec![other.key_id()],
                valid_at_ms: None,
            });
            let running = self.running(house.number)?;
            running.federation.keys(needed.collect()).await;
        }
        Ok(())
    }

    /// From now on disks and network are as bad as they are.
    pub fn begin_storm(&self) {
        self.network.begin_storm();
        self.is_good.store(false, Ordering::Relaxed);
    }

    /// From now on nothing goes wrong; who is down is up.
    pub fn end_storm(&self) -> Result<()> {
        self.is_good.store(true, Ordering::Relaxed);
        self.network.heal();
        for house in self.houses.iter().filter(|house| !house.is_sound()) {
            house.kill();
            house.start(&self.network)?;
        }
        self.trace.note(format_args!("all is well"));
        Ok(())
    }

    /// A server.
    pub fn house(&self, number: usize) -> Result<&Arc<House>> {
        self.houses
            .get(number)
            .ok_or_else(|| anyhow!("no server {number}"))
    }

    /// What runs of a server that must be up.
    pub fn running(&self, number: usize) -> Result<Running> {
        self.house(number)?
            .running()
            .ok_or_else(|| anyhow!("server {number} is down"))
    }

    /// A user's id.
    pub fn person(&self, (server, user): Person) -> Result<OwnedUserId> {
        self.house(server)?.user(user)
    }

    /// Lets everything go wrong that is to.
    pub async fn have_accidents(&self) -> Result<()> {
        for accident in &self.plan.accidents {
            sleep_until(self.began + Duration::from_millis(accident.at_ms)).await;
            self.trace.note(format_args!("{:?}", accident.what));
            match &accident.what {
                Trouble::Cut(parts) => self.network.cut(parts),
                Trouble::Mend => self.network.cut(&vec![0; self.plan.servers]),
                Trouble::Kill(server) => self.house(*server)?.kill(),
                Trouble::FailDisk(server) => self.house(*server)?.fail_disk(),
                Trouble::Start(server) => {
                    let house = self.house(*server)?;
                    house.kill();
                    house.start(&self.network)?;
                }
            }
        }
        Ok(())
    }

    /// Waits until a time since the beginning.
    pub async fn until(&self, ms: u64) {
        sleep_until(self.began + Duration::from_millis(ms)).await;
    }

    /// Waits until nothing waits to be sent and nothing is under way.
    pub async fn until_quiet(&self) -> Result<()> {
        /// Longer than the longest pause of a queue.
        const PATIENCE: Duration = Duration::from_hours(3);
        const LOOK_EVERY: Duration = Duration::from_millis(250);
        let deadline = Instant::now() + PATIENCE;
        let mut quiet = 0;
        while quiet < 2 {
            if Instant::now() > deadline {
                bail!("what waits to be sent is not sent");
            }
            tokio::time::sleep(LOOK_EVERY).await;
            let mut waiting = u64::try_from(self.network.under_way())?;
            for house in &self.houses {
                if let Some(running) = house.running() {
                    waiting += running.federation.sending_counts().waiting;
                    waiting += u64::try_from(running.rooms.rooms_being_filled())?;
                }
            }
            quiet = if waiting == 0 { quiet + 1 } else { 0 };
        }
        Ok(())
    }
}

fn clock(began: Instant, skew_ms: i64) -> Clock {
    Clock::reading(move || {
        let elapsed = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        BEGIN_MS.saturating_add(elapsed).saturating_add_signed(skew_ms)
    })
}

fn liar(plan: &Plan) -> Result<Liar> {
    let number = plan.servers - 1;
    let seed = u8::try_from(number)?.wrapping_add(1);
    Ok(Liar {
        number,
        name: name_of(number)?,
        key: Arc::new(SigningKey::from_seed([seed; 32], "sim")?),
        version: plan.version,
        victim: name_of(0)?,
    })
}
