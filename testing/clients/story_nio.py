"""The story of two people, told with matrix-nio: the way of most bots written today.

Usage: story_nio.py BASE_URL
"""

import asyncio
import sys

import nio

PASSWORD = "correct horse battery staple"


def good(response):
    """What nio raises nothing for: an answer that is an error."""
    assert not isinstance(response, nio.ErrorResponse), f"{type(response).__name__}: {response}"
    return response


async def newcomer(base_url, localpart):
    """Register, forget that, and come back through the login door."""
    client = nio.AsyncClient(base_url, localpart)
    good(await client.register(localpart, PASSWORD))
    good(await client.logout())
    await client.close()
    client = nio.AsyncClient(base_url, localpart)
    assert isinstance(await client.login("wrong"), nio.LoginError)
    good(await client.login(PASSWORD, device_name="story"))
    whoami = good(await client.whoami())
    assert whoami.user_id == client.user_id, whoami
    return client


async def synced(client):
    return good(await client.sync(timeout=5000, full_state=False))


async def story(base_url):
    alice = await newcomer(base_url, "nio_alice")
    bob = await newcomer(base_url, "nio_bob")
    try:
        good(await alice.set_displayname("Alice"))
        await synced(alice)
        await synced(bob)

        room_id = good(await alice.room_create(name="Gate", topic="Who goes there?")).room_id
        good(await alice.room_invite(room_id, bob.user_id))
        await synced(bob)
        assert room_id in bob.invited_rooms, bob.invited_rooms
        assert bob.invited_rooms[room_id].name == "Gate"

        good(await bob.join(room_id))
        await synced(bob)
        room = bob.rooms[room_id]
        assert room.name == "Gate" and room.topic == "Who goes there?", (room.name, room.topic)
        assert set(room.users) == {alice.user_id, bob.user_id}, room.users
        assert room.user_name(alice.user_id) == "Alice", room.users

        good(await alice.room_send(room_id, "m.room.message", {"msgtype": "m.text", "body": "Come in"}))
        answer = await synced(bob)
        bodies = [event.body for event in answer.rooms.join[room_id].timeline.events if hasattr(event, "body")]
        assert bodies == ["Come in"], bodies

        # A poll that waits hears what is said meanwhile.
        waiting = asyncio.create_task(bob.sync(timeout=20000))
        sent = good(
            await alice.room_send(room_id, "m.room.message", {"msgtype": "m.text", "body": "Still there?"})
        )
        answer = good(await waiting)
        events = answer.rooms.join[room_id].timeline.events
        assert [event.event_id for event in events] == [sent.event_id], events

        page = good(await bob.room_messages(room_id, bob.next_batch, limit=2))
        assert [event.body for event in page.chunk] == ["Still there?", "Come in"], page.chunk

        good(await alice.room_redact(room_id, sent.event_id, reason="hasty"))
        await synced(bob)
        again = good(await bob.room_get_event(room_id, sent.event_id))
        assert isinstance(again.event, nio.RedactedEvent), again.event

        good(await bob.room_leave(room_id))
        answer = await synced(bob)
        assert room_id in answer.rooms.leave, answer.rooms
        assert isinstance(
            await bob.room_send(room_id, "m.room.message", {"msgtype": "m.text", "body": "too late"}),
            nio.RoomSendError,
        )
        members = good(await alice.joined_members(room_id)).members
        assert [member.user_id for member in members] == [alice.user_id], members
        good(await bob.room_forget(room_id))
        good(await bob.logout())
    finally:
        await alice.close()
        await bob.close()


if __name__ == "__main__":
    asyncio.run(story(sys.argv[1]))
    print("ok")
