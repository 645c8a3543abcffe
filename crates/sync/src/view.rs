//! How much of a room a sync shows, from the user's memberships in it. Pure.

use gatehouse_store::Position;
use ruma::events::room::member::MembershipState;

/// The versions of the user's membership up to the sync's end, oldest first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memberships<'a>(pub(crate) &'a [(Position, MembershipState)]);

/// Whether the client has to be told all of the state, or what changed of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StateWanted {
    /// All of it, to a client that knows nothing of the room.
    Full,
    /// All of it, to a client that knows the room and asks anew.
    Again,
    /// The client knows the state at this position.
    ChangesAfter(Position),
    /// The client may not see any.
    None,
}

impl StateWanted {
    /// Whether it is all of the state.
    pub(crate) fn is_whole(self) -> bool {
        matches!(self, Self::Full | Self::Again)
    }
}

/// What a sync shows of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum View {
    /// The user is in the room at the end: what came after `after`.
    Joined { after: Position, state: StateWanted },
    /// The user left it: what came after `after`, up to and including the leave at `through`.
    Left {
        after: Position,
        through: Position,
        state: StateWanted,
    },
    /// The user was not in it: only these events, by which the user was turned down, thrown out or banned.
    Own(Vec<Position>),
    /// The user is invited, or has knocked, since this position.
    Pending(Position),
    /// Nothing.
    Nothing,
}

impl<'a> Memberships<'a> {
    /// What a sync with this `since` shows.
    pub(crate) fn view(self, since: Option<Position>) -> View {
        match self.0.last() {
            Some((_, MembershipState::Join)) => self.joined(since),
            Some((_, MembershipState::Leave | MembershipState::Ban)) => self.left(since),
            Some((at, MembershipState::Invite | MembershipState::Knock)) => {
                if since.is_none_or(|since| *at > since) {
                    View::Pending(*at)
                } else {
                    View::Nothing
                }
            }
            _ => View::Nothing,
        }
    }

    fn joined(self, since: Option<Position>) -> View {
        match since {
            Some(since) if self.joined_at(since) => View::Joined {
                after: since,
                state: StateWanted::ChangesAfter(since),
            },
            _ => View::Joined {
                after: self.told_up_to(since),
                state: StateWanted::Full,
            },
        }
    }

    fn left(self, since: Option<Position>) -> View {
        let end = self.stops().last();
        match (since, end) {
            (None, Some(through)) => View::Left {
                after: Position::ZERO,
                through,
                state: StateWanted::Full,
            },
            (Some(since), Some(through)) if through > since => {
                let state = if self.joined_at(since) {
                    StateWanted::ChangesAfter(since)
                } else {
                    StateWanted::Full
                };
                let after = match state {
                    StateWanted::ChangesAfter(since) => since,
                    _ => self.told_up_to(Some(since)),
                };
                View::Left {
                    after,
                    through,
                    state,
                }
            }
            _ => self.own(since),
        }
    }

    /// Only what was done to the user.
    pub(crate) fn own(self, since: Option<Position>) -> View {
        let after = since.unwrap_or(Position::ZERO);
        let events: Vec<_> = self.endings().filter(|at| *at > after).collect();
        if events.is_empty() {
            View::Nothing
        } else {
            View::Own(events)
        }
    }

    /// The leaves and bans after one position, up to and including another: after the last stay they end none, and
    /// are shown beside the room's events.
    pub(crate) fn own_between(self, after: Position, through: Position) -> Vec<Position> {
        self.endings()
            .filter(|at| *at > after && *at <= through)
            .collect()
    }

    /// Where the last stay that reached beyond a position ended, or zero, and every change of the membership after
    /// both: what a stream of all events has of a room that the user is not in.
    pub(crate) fn stay_and_own(self, after: Position) -> (Position, Vec<Position>) {
        let end = self.stops().filter(|at| *at > after).last().unwrap_or_default();
        let changes = self.0.iter().map(|(at, _)| *at);
        (end, changes.filter(|at| *at > after && *at > end).collect())
    }

    /// Where a client that has synced up to `since` was told of everything: the end of the last stay before.
    fn told_up_to(self, since: Option<Position>) -> Position {
        since
            .and_then(|since| self.stops().take_while(|at| *at <= since).last())
            .unwrap_or(Position::ZERO)
    }

    /// Where the user's stays in the room ended.
    fn stops(self) -> impl Iterator<Item = Position> {
        self.0.windows(2).filter_map(|pair| match pair {
            [(_, MembershipState::Join), (at, after)] if *after != MembershipState::Join => Some(*at),
            _ => None,
        })
    }

    /// Every leave and ban.
    fn endings(self) -> impl Iterator<Item = Position> {
        self.0.iter().filter_map(|(at, membership)| {
            matches!(membership, MembershipState::Leave | MembershipState::Ban).then_some(*at)
        })
    }

    fn joined_at(self, position: Position) -> bool {
        self.at(position) == Some(&MembershipState::Join)
    }

    /// The membership just after the event at this position.
    fn at(self, position: Position) -> Option<&'a MembershipState> {
        let count = self.0.partition_point(|(at, _)| *at <= position);
        self.0
            .get(count.checked_sub(1)?)
            .map(|(_, membership)| membership)
    }
}

#[cfg(test)]
mod tests {
    use ruma::events::room::member::MembershipState::{Ban, Invite, Join, Knock, Leave};

    use super::*;

    fn at(number: u64) -> Position {
        Position::new(number).unwrap()
    }

    fn view(versions: &[(u64, MembershipState)], since: Option<u64>) -> View {
        let versions: Vec<_> = versions
            .iter()
            .map(|(number, is)| (at(*number), is.clone()))
            .collect();
        Memberships(&versions).view(since.map(at))
    }

    fn joined(after: u64, state: StateWanted) -> View {
        View::Joined {
            after: at(after),
            state,
        }
    }

    fn left(after: u64, through: u64, state: StateWanted) -> View {
        View::Left {
            after: at(after),
            through: at(through),
            state,
        }
    }

    fn changes(after: u64) -> StateWanted {
        StateWanted::ChangesAfter(at(after))
    }

    #[test]
    fn an_initial_sync_shows_the_room_from_its_beginning() {
        assert_eq!(view(&[(5, Join)], None), joined(0, StateWanted::Full));
        assert_eq!(
            view(&[(5, Join), (6, Leave), (7, Join)], None),
            joined(0, StateWanted::Full)
        );
        assert_eq!(
            view(&[(5, Join), (6, Leave)], None),
            left(0, 6, StateWanted::Full)
        );
        assert_eq!(view(&[], None), View::Nothing);
    }

    #[test]
    fn who_stays_is_shown_what_came_since() {
        assert_eq!(view(&[(5, Join)], Some(7)), joined(7, changes(7)));
        assert_eq!(view(&[(5, Join), (8, Join)], Some(7)), joined(7, changes(7)));
    }

    #[test]
    fn who_joined_since_is_shown_all_of_the_state() {
        assert_eq!(view(&[(5, Join)], Some(4)), joined(0, StateWanted::Full));
        assert_eq!(
            view(&[(3, Invite), (5, Join)], Some(4)),
            joined(0, StateWanted::Full)
        );
    }

    #[test]
    fn who_comes_back_is_shown_what_came_after_leaving() {
        assert_eq!(
            view(&[(2, Join), (3, Leave), (9, Join)], Some(5)),
            joined(3, StateWanted::Full)
        );
        assert_eq!(
            view(
                &[(2, Join), (3, Leave), (6, Join), (7, Leave), (9, Join)],
                Some(5)
            ),
            joined(3, StateWanted::Full)
        );
    }

    #[test]
    fn who_left_and_came_back_between_two_syncs_never_was_away() {
        assert_eq!(
            view(&[(2, Join), (6, Leave), (9, Join)], Some(5)),
            joined(5, changes(5))
        );
    }

    #[test]
    fn who_left_is_shown_the_room_up_to_the_leave() {
        assert_eq!(view(&[(2, Join), (6, Leave)], Some(5)), left(5, 6, changes(5)));
        assert_eq!(view(&[(2, Join), (6, Ban)], Some(5)), left(5, 6, changes(5)));
        // Later bans do not extend it.
        assert_eq!(
            view(&[(2, Join), (6, Leave), (9, Ban)], Some(5)),
            left(5, 6, changes(5))
        );
    }

    #[test]
    fn who_joined_and_left_between_two_syncs_is_shown_the_stay() {
        assert_eq!(
            view(&[(4, Invite), (6, Join), (8, Leave)], Some(5)),
            left(0, 8, StateWanted::Full)
        );
        assert_eq!(
            view(&[(2, Join), (3, Leave), (6, Join), (8, Ban)], Some(5)),
            left(3, 8, StateWanted::Full)
        );
    }

    #[test]
    fn who_left_before_is_shown_nothing_more() {
        assert_eq!(view(&[(2, Join), (3, Leave)], Some(3)), View::Nothing);
        assert_eq!(view(&[(2, Join), (3, Leave)], Some(5)), View::Nothing);
    }

    #[test]
    fn who_was_not_in_the_room_is_shown_only_what_was_done_to_him() {
        assert_eq!(view(&[(3, Invite), (6, Leave)], Some(5)), View::Own(vec![at(6)]));
        assert_eq!(
            view(&[(2, Join), (3, Leave), (6, Ban)], Some(5)),
            View::Own(vec![at(6)])
        );
        assert_eq!(
            view(&[(6, Ban), (7, Leave)], Some(5)),
            View::Own(vec![at(6), at(7)])
        );
        assert_eq!(view(&[(6, Ban)], None), View::Own(vec![at(6)]));
    }

    #[test]
    fn a_stream_has_the_last_stay_and_what_came_after_it() {
        let versions = [(at(2), Join), (at(4), Leave), (at(6), Invite), (at(8), Leave)];
        let stream = |after| Memberships(&versions).stay_and_own(at(after));
        assert_eq!(stream(3), (at(4), vec![at(6), at(8)]));
        assert_eq!(stream(4), (at(0), vec![at(6), at(8)]));
        assert_eq!(stream(7), (at(0), vec![at(8)]));
    }

    #[test]
    fn an_invite_or_knock_is_shown_once() {
        assert_eq!(view(&[(6, Invite)], Some(5)), View::Pending(at(6)));
        assert_eq!(view(&[(6, Knock)], None), View::Pending(at(6)));
        assert_eq!(view(&[(6, Invite)], Some(6)), View::Nothing);
        // The stay before it is shown when the user joins again.
        assert_eq!(
            view(&[(2, Join), (6, Leave), (7, Invite)], Some(5)),
            View::Pending(at(7))
        );
    }
}
