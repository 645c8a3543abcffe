//! What a seed means: the servers, what is bad about their world, and what their users do.

use std::ops::Range;

use anyhow::{Context as _, Result};
use gatehouse_events::RoomVersion;

use crate::{dice::Dice, disk::Temper, house::USERS, network::Weather};

/// Users act, and things go wrong, in this time; afterwards all is well.
pub const STORM_MS: u64 = 60_000;

/// Whether users may take each other's rights away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// They do not: so every event that was acknowledged is shown everywhere.
    Calm,
    /// They kick, ban, demote and lock the room: state resolution may undo what a server let pass.
    Stormy,
}

/// A world.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it is made from.
    pub seed: u64,
    /// Of the room.
    pub version: RoomVersion,
    /// How many there are.
    pub servers: usize,
    /// The last of them lies.
    pub has_liar: bool,
    /// What users do to each other.
    pub mood: Mood,
    /// How bad the network is.
    pub weather: Weather,
    /// How bad each disk is.
    pub tempers: Vec<Temper>,
    /// By how much each clock is wrong.
    pub skews_ms: Vec<i64>,
    /// What users do.
    pub deeds: Vec<Deed>,
    /// What goes wrong.
    pub accidents: Vec<Accident>,
}

/// A user: server and number.
pub type Person = (usize, usize);

/// What a user does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// When.
    pub at_ms: u64,
    /// Who.
    pub who: Person,
    /// What.
    pub what: What,
}

/// What a user does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Says something.
    Say,
    /// Sets the topic.
    Topic,
    /// Joins, over a server that is in the room.
    Join,
    /// Leaves.
    Leave,
    /// Redacts something of their own that was acknowledged.
    Redact,
    /// Invites somebody.
    Invite(Person),
    /// Kicks somebody.
    Kick(Person),
    /// Bans somebody.
    Ban(Person),
    /// Lifts a ban.
    Unban(Person),
    /// Gives somebody this power.
    Empower(Person, i64),
    /// Sets who may join.
    JoinRule(&'static str),
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accident {
    /// When.
    pub at_ms: u64,
    /// What.
    pub what: Trouble,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The network falls into parts: which server is in which.
    Cut(Vec<usize>),
    /// It is whole again.
    Mend,
    /// A server is killed.
    Kill(usize),
    /// A server's disk fails.
    FailDisk(usize),
    /// A server is started again, if it is down; one whose disk has failed is killed first.
    Start(usize),
}

impl Plan {
    /// The world of a seed.
    pub fn of(seed: u64) -> Result<Self> {
        let mut dice = Dice::new(seed);
        let versions: Vec<RoomVersion> = RoomVersion::all().collect();
        let version = dice
            .pick(&versions)
            .copied()
            .context("there is no room version")?;
        let servers = [2, 2, 3, 3, 3, 4].get(dice.below(6)).copied().unwrap_or(3);
        let has_liar = servers > 2 && dice.happens(350);
        let mood = if dice.happens(400) {
            Mood::Calm
        } else {
            Mood::Stormy
        };
        let weather = weather(&mut dice);
        let tempers = (0..servers).map(|_| temper(&mut dice)).collect();
        let skews_ms = (0..servers).map(|_| skew(&mut dice)).collect();
        let mut plan = Self {
            seed,
            version,
            servers,
            has_liar,
            mood,
            weather,
            tempers,
            skews_ms,
            deeds: Vec::new(),
            accidents: Vec::new(),
        };
        plan.deeds = plan.deeds(&mut dice.apart());
        plan.accidents = plan.accidents(&mut dice.apart());
        Ok(plan)
    }

    /// The servers that do not lie.
    pub fn honest(&self) -> Range<usize> {
        0..self.servers - usize::from(self.has_liar)
    }

    fn deeds(&self, dice: &mut Dice) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for server in 1..self.servers {
            deeds.push(Deed {
                at_ms: dice.between(1_000, 15_000),
                who: (server, 0),
                what: What::Join,
            });
        }
        for server in 0..self.servers {
            for user in 1..USERS.len() {
                if dice.happens(600) {
                    deeds.push(Deed {
                        at_ms: dice.between(1_000, 30_000),
                        who: (server, user),
                        what: What::Join,
                    });
                }
            }
        }
        for _ in 0..dice.between(8, 22) {
            let who = (dice.below(self.servers), dice.below(USERS.len()));
            let (who, what) = match self.mood {
                Mood::Calm => (who, Self::calm_deed(dice)),
                Mood::Stormy => self.stormy_deed(dice, who),
            };
            let at_ms = dice.between(1_000, STORM_MS);
            deeds.push(Deed { at_ms, who, what });
        }
        deeds.sort_by_key(|deed| deed.at_ms);
        deeds
    }

    fn target(&self, dice: &mut Dice) -> Person {
        (dice.below(self.servers), 1 + dice.below(USERS.len() - 1))
    }

    fn calm_deed(dice: &mut Dice) -> What {
        match dice.below(10) {
            0..=4 => What::Say,
            5 | 6 => What::Topic,
            7 => What::Redact,
            _ => What::Join,
        }
    }

    fn stormy_deed(&self, dice: &mut Dice, who: Person) -> (Person, What) {
        let founder = (0, 0);
        let ruler = if dice.happens(500) { founder } else { who };
        match dice.below(20) {
            0..=4 => (who, What::Say),
            5 | 6 => (who, What::Topic),
            7 => (who, What::Redact),
            8 => (who, What::Invite(self.target(dice))),
            9 => (who, What::Join),
            10 if who.1 > 0 => (who, What::Leave),
            11 | 12 => (ruler, What::Kick(self.target(dice))),
            13 | 14 => (ruler, What::Ban(self.target(dice))),
            15 => (ruler, What::Unban(self.target(dice))),
            16..=18 => {
                let level = dice.pick(&[0, 50, 50, 99]).copied().unwrap_or(50);
                let anybody = (dice.below(self.servers), dice.below(USERS.len()));
                (founder, What::Empower(anybody, level))
            }
            _ => {
                let rule = dice.pick(&["public", "invite"]).copied().unwrap_or("public");
                (ruler, What::JoinRule(rule))
            }
        }
    }

    fn accidents(&self, dice: &mut Dice) -> Vec<Accident> {
        let mut accidents = Vec::new();
        for _ in 0..dice.below(3) {
            let parts: Vec<usize> = (0..self.servers).map(|_| dice.below(2)).collect();
            let at_ms = dice.between(500, STORM_MS - 5_000);
            let until_ms = at_ms + dice.between(500, 30_000);
            accidents.push((at_ms, Trouble::Cut(parts)));
            accidents.push((until_ms, Trouble::Mend));
        }
        for _ in 0..dice.below(4) {
            let server = dice.below(self.servers);
            let at_ms = dice.between(500, STORM_MS - 5_000);
            let until_ms = at_ms + dice.between(50, 20_000);
            let what = if dice.happens(250) {
                Trouble::FailDisk(server)
            } else {
                Trouble::Kill(server)
            };
            accidents.push((at_ms, what));
            accidents.push((until_ms, Trouble::Start(server)));
        }
        let mut accidents: Vec<Accident> = accidents
            .into_iter()
            .map(|(at_ms, what)| Accident { at_ms, what })
            .collect();
        accidents.sort_by_key(|accident| accident.at_ms);
        accidents
    }
}

fn weather(dice: &mut Dice) -> Weather {
    let mut rate = |most: u64| {
        if dice.happens(500) {
            dice.between(0, most)
        } else {
            0
        }
    };
    Weather {
        lost: rate(250),
        unanswered: rate(250),
        repeated: rate(200),
        slow: rate(150),
        broken_off: rate(1_000),
    }
}

fn temper(dice: &mut Dice) -> Temper {
    let mut rate = |most: u64| {
        if dice.happens(500) {
            dice.between(0, most)
        } else {
            0
        }
    };
    let (slow, refuses, yields) = (rate(1_000), rate(40), rate(250));
    Temper {
        slow,
        refuses,
        yields,
        is_shared: dice.happens(250),
    }
}

/// Keys are published for a day: servers whose clocks are further apart do not believe each other, and should not.
fn skew(dice: &mut Dice) -> i64 {
    let most = [0, 0, 5_000, 600_000, 10 * 3_600_000];
    let most = most.get(dice.below(most.len())).copied().unwrap_or(0);
    let ms = i64::try_from(dice.between(0, most)).unwrap_or(0);
    if dice.happens(500) { ms } else { -ms }
}
