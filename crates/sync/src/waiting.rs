//! Who waits for which rooms, and waking them.
//!
//! A waiter stands in the list of each of its rooms. A change of a room costs only what there are waiters in it; its
//! members who do not wait cost nothing.

use std::collections::{HashMap, HashSet};

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use tokio::sync::oneshot;

/// Everybody who waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    next: u64,
    waiters: HashMap<u64, Waiter>,
    users: HashMap<OwnedUserId, Vec<u64>>,
    /// Rooms by number: a waiter in many rooms keeps four bytes for each.
    numbers: HashMap<OwnedRoomId, u32>,
    rooms: HashMap<u32, Room>,
    next_room: u32,
}

#[derive(Debug)]
struct Waiter {
    user: OwnedUserId,
    rooms: Box<[u32]>,
    /// Gone once woken.
    signal: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct Room {
    id: OwnedRoomId,
    waiters: HashSet<u64>,
}

impl Waiting {
    /// Adds a waiter; the receiver resolves when one of the rooms or the user changes.
    pub(crate) fn add<'a>(
        &mut self,
        user: &UserId,
        rooms: impl Iterator<Item = &'a RoomId>,
    ) -> (u64, oneshot::Receiver<()>) {
        let waiter = self.next;
        self.next += 1;
        let rooms = rooms.map(|room| self.enter(room, waiter)).collect();
        if let Some(waiters) = self.users.get_mut(user) {
            waiters.push(waiter);
        } else {
            self.users.insert(user.to_owned(), vec![waiter]);
        }
        let (signal, woken) = oneshot::channel();
        self.waiters.insert(
            waiter,
            Waiter {
                user: user.to_owned(),
                rooms,
                signal: Some(signal),
            },
        );
        (waiter, woken)
    }

    fn enter(&mut self, room: &RoomId, waiter: u64) -> u32 {
        if let Some(number) = self.numbers.get(room) {
            if let Some(room) = self.rooms.get_mut(number) {
                room.waiters.insert(waiter);
            }
            return *number;
        }
        // Numbers come round after four billion rooms; by then the old ones are free, or are stepped over.
        while self.rooms.contains_key(&self.next_room) {
            self.next_room = self.next_room.wrapping_add(1);
        }
        let number = self.next_room;
        self.next_room = number.wrapping_add(1);
        self.numbers.insert(room.to_owned(), number);
        let waiters = HashSet::from([waiter]);
        let id = room.to_owned();
        self.rooms.insert(number, Room { id, waiters });
        number
    }

    /// Removes a waiter, woken or not.
    pub(crate) fn remove(&mut self, waiter: u64) {
        let Some(gone) = self.waiters.remove(&waiter) else {
            return;
        };
        for number in gone.rooms {
            self.leave(number, waiter);
        }
        if let Some(waiters) = self.users.get_mut(&gone.user) {
            waiters.retain(|other| *other != waiter);
            if waiters.is_empty() {
                self.users.remove(&gone.user);
            }
        }
    }

    fn leave(&mut self, number: u32, waiter: u64) {
        let Some(room) = self.rooms.get_mut(&number) else {
            return;
        };
        room.waiters.remove(&waiter);
        if room.waiters.is_empty()
            && let Some(room) = self.rooms.remove(&number)
        {
            self.numbers.remove(&room.id);
        }
    }

    /// Takes the signals of those who wait for this room.
    pub(crate) fn wake_room(&mut self, room: &RoomId, woken: &mut Vec<oneshot::Sender<()>>) {
        let Some(room) = self.numbers.get(room).and_then(|number| self.rooms.get(number)) else {
            return;
        };
        for waiter in &room.waiters {
            woken.extend(
                self.waiters
                    .get_mut(waiter)
                    .and_then(|waiter| waiter.signal.take()),
            );
        }
    }

    /// Takes the signals of this user's waiters.
    pub(crate) fn wake_user(&mut self, user: &UserId, woken: &mut Vec<oneshot::Sender<()>>) {
        for waiter in self.users.get(user).into_iter().flatten() {
            woken.extend(
                self.waiters
                    .get_mut(waiter)
                    .and_then(|waiter| waiter.signal.take()),
            );
        }
    }

    /// Takes everybody's signal.
    pub(crate) fn wake_all(&mut self, woken: &mut Vec<oneshot::Sender<()>>) {
        woken.extend(
            self.waiters
                .values_mut()
                .filter_map(|waiter| waiter.signal.take()),
        );
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.waiters.len()
    }
}

#[cfg(test)]
mod tests {
    use ruma::{room_id, user_id};

    use super::*;

    fn wake_room(waiting: &mut Waiting, room: &RoomId) -> usize {
        let mut woken = Vec::new();
        waiting.wake_room(room, &mut woken);
        let count = woken.len();
        for signal in woken {
            // In one test, nobody listens any more.
            let _ = signal.send(());
        }
        count
    }

    #[test]
    fn a_room_wakes_those_who_wait_for_it_once() {
        let mut waiting = Waiting::default();
        let (_, mut in_both) =
            waiting.add(user_id!("@a:s"), [room_id!("!r:s"), room_id!("!q:s")].into_iter());
        let (_, mut in_other) = waiting.add(user_id!("@b:s"), [room_id!("!q:s")].into_iter());
        assert_eq!(wake_room(&mut waiting, room_id!("!r:s")), 1);
        assert_eq!(in_both.try_recv(), Ok(()));
        assert!(in_other.try_recv().is_err());
        assert_eq!(wake_room(&mut waiting, room_id!("!r:s")), 0);
        assert_eq!(wake_room(&mut waiting, room_id!("!q:s")), 1);
        assert_eq!(in_other.try_recv(), Ok(()));
        assert_eq!(wake_room(&mut waiting, room_id!("!x:s")), 0);
    }

    #[test]
    fn a_user_wakes_all_of_his_own_waiters() {
        let mut waiting = Waiting::default();
        let (_, mut first) = waiting.add(user_id!("@a:s"), std::iter::empty());
        let (_, mut second) = waiting.add(user_id!("@a:s"), std::iter::empty());
        let (_, mut other) = waiting.add(user_id!("@b:s"), std::iter::empty());
        let mut woken = Vec::new();
        waiting.wake_user(user_id!("@a:s"), &mut woken);
        for signal in woken {
            signal.send(()).unwrap();
        }
        assert_eq!(first.try_recv(), Ok(()));
        assert_eq!(second.try_recv(), Ok(()));
        assert!(other.try_recv().is_err());
    }

    #[test]
    fn those_who_go_leave_nothing_behind() {
        let mut waiting = Waiting::default();
        let mut waiters = Vec::new();
        for number in 0..50 {
            let user = OwnedUserId::try_from(format!("@u{}:s", number % 7)).unwrap();
            let rooms: Vec<_> = (0..number)
                .map(|room| OwnedRoomId::try_from(format!("!r{room}:s")).unwrap())
                .collect();
            waiters.push(waiting.add(&user, rooms.iter().map(AsRef::as_ref)).0);
        }
        wake_room(&mut waiting, room_id!("!r3:s"));
        for waiter in waiters {
            waiting.remove(waiter);
            waiting.remove(waiter);
        }
        assert_eq!(waiting.count(), 0);
        assert!(waiting.users.is_empty());
        assert!(waiting.rooms.is_empty());
        assert!(waiting.numbers.is_empty());
    }
}
