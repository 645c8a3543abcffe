//! What nodes tell each other about a commit: the text of a `NOTIFY`.

use gatehouse_store::{Changes, Notice, Position, Topic};
use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};

/// PostgreSQL takes less than 8,000 bytes.
const PAYLOAD_BYTES: usize = 7_900;

/// What stands around the commits of a payload, at most.
const FRAME_BYTES: usize = 60;

#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    /// Everything up to here can be read.
    last: Position,
    commits: Vec<Commit>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Commit(Position, Option<Topics>);

/// Room ids and user ids; `None` in their place: too many to tell.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Topics(Vec<OwnedRoomId>, Vec<OwnedUserId>);

/// The payloads that tell of these commits, in order; at least one, so that others learn of the position.
pub(crate) fn encode(last: Position, notices: &[Changes]) -> Vec<String> {
    let mut payloads = Vec::new();
    let mut commits = String::new();
    let mut told = Position::ZERO;
    for changes in notices {
        let mut commit = json(&Commit(changes.position, Some(topics(changes))));
        if commit.len() + FRAME_BYTES > PAYLOAD_BYTES {
            commit = json(&Commit(changes.position, None));
        }
        if commits.len() + commit.len() + FRAME_BYTES > PAYLOAD_BYTES {
            payloads.push(frame(told, &std::mem::take(&mut commits)));
        }
        if !commits.is_empty() {
            commits.push(',');
        }
        commits.push_str(&commit);
        told = changes.position;
    }
    payloads.push(frame(last, &commits));
    payloads
}

fn frame(last: Position, commits: &str) -> String {
    format!(r#"{{"last":{last},"commits":[{commits}]}}"#)
}

fn json(commit: &Commit) -> String {
    // Serialising our own type cannot fail; were it to, the receiver would take it as "everything changed".
    serde_json::to_string(commit).unwrap_or_default()
}

fn topics(changes: &Changes) -> Topics {
    let mut topics = Topics::default();
    for topic in &*changes.topics {
        match topic {
            Topic::Room(room) => topics.0.push(room.clone()),
            Topic::User(user) => topics.1.push(user.clone()),
        }
    }
    topics
}

/// What a payload tells: up to where one can read, and what watchers are to learn, in order.
pub(crate) fn decode(payload: &str) -> Option<(Position, Vec<Notice>)> {
    let Payload { last, commits } = serde_json::from_str(payload).ok()?;
    let notices = commits.into_iter().map(|Commit(position, topics)| match topics {
        Some(Topics(rooms, users)) => {
            let rooms = rooms.into_iter().map(Topic::Room);
            let topics = rooms.chain(users.into_iter().map(Topic::User)).collect();
            Notice::Changes(Changes { position, topics })
        }
        None => Notice::Everything,
    });
    Some((last, notices.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(position: u64, topics: Vec<Topic>) -> Changes {
        Changes {
            position: Position::new(position).unwrap(),
            topics: topics.into(),
        }
    }

    fn told(payloads: &[String]) -> Vec<(u64, usize)> {
        let notices = payloads.iter().flat_map(|payload| decode(payload).unwrap().1);
        notices
            .map(|notice| match notice {
                Notice::Changes(changes) => (changes.position.number(), changes.topics.len()),
                Notice::Everything => (0, 0),
            })
            .collect()
    }

    #[test]
    fn many_commits_are_told_in_order_within_the_limit() {
        let user = Topic::User("@a_rather_long_name:example.org".try_into().unwrap());
        let room = Topic::Room("!a\u{1}\"\\:example.org".try_into().unwrap());
        let notices: Vec<_> = (1..=500)
            .map(|position| changes(position, vec![user.clone(), room.clone()]))
            .collect();
        let payloads = encode(Position::new(500).unwrap(), &notices);
        assert!(payloads.len() > 1);
        assert!(payloads.iter().all(|payload| payload.len() < 8_000));
        assert_eq!(
            told(&payloads),
            (1..=500).map(|position| (position, 2)).collect::<Vec<_>>()
        );
        let last = |payload: &String| decode(payload).unwrap().0.number();
        assert!(payloads.iter().is_sorted_by_key(last));
        assert_eq!(payloads.last().map(last), Some(500));
    }

    #[test]
    fn a_commit_with_too_many_topics_is_told_as_everything() {
        let topics: Vec<_> = (0..1_000)
            .map(|number| Topic::User(format!("@user{number}:example.org").try_into().unwrap()))
            .collect();
        let one = changes(3, topics.iter().take(1).cloned().collect());
        let payloads = encode(Position::new(3).unwrap(), &[one.clone(), changes(2, topics), one]);
        assert_eq!(told(&payloads), [(3, 1), (0, 0), (3, 1)]);
    }

    #[test]
    fn a_commit_without_topics_tells_the_position() {
        let payloads = encode(Position::new(7).unwrap(), &[]);
        assert_eq!(payloads, [r#"{"last":7,"commits":[]}"#]);
        assert_eq!(decode(&payloads[0]).unwrap().0.number(), 7);
    }

    #[test]
    fn a_payload_of_another_version_is_not_understood() {
        assert!(decode("").is_none());
        assert!(decode(r#"{"last":7,"commits":[7]}"#).is_none());
    }
}
