"""The story of two people, told with matrix-client 0.4 (2018), which speaks r0.

Usage: story_r0.py BASE_URL
"""

import sys

from matrix_client.client import MatrixClient
from matrix_client.errors import MatrixRequestError

PASSWORD = "correct horse battery staple"


def newcomer(base_url, localpart):
    """Register, forget that, and come back through the login door."""
    MatrixClient(base_url).register_with_password(localpart, PASSWORD)
    client = MatrixClient(base_url)
    client.login(localpart, PASSWORD)
    return client


def refused(code, errcode, action, *arguments):
    try:
        action(*arguments)
    except MatrixRequestError as error:
        assert error.code == code and errcode in error.content, (error.code, error.content)
        return
    raise AssertionError(f"{action} was not refused")


def story(base_url):
    refused(403, "M_FORBIDDEN", MatrixClient(base_url).login, "nobody_here", PASSWORD)
    alice = newcomer(base_url, "r0_alice")
    bob = newcomer(base_url, "r0_bob")
    invites = []
    bob.add_invite_listener(lambda room_id, state: invites.append(room_id))

    room = alice.create_room(alias="r0_gate")
    room.set_room_name("Gate")
    refused(403, "M_FORBIDDEN", bob.join_room, room.room_id)
    assert room.invite_user(bob.user_id)
    bob.listen_for_events(5000)
    assert invites == [room.room_id], invites

    bobs_room = bob.join_room("#r0_gate:" + alice.user_id.split(":", 1)[1])
    assert bobs_room.room_id == room.room_id
    bob.listen_for_events(5000)
    assert {member.user_id for member in bobs_room.get_joined_members()} == {alice.user_id, bob.user_id}
    bobs_room.update_room_name()
    assert bobs_room.name == "Gate", bobs_room.name

    heard = []
    bobs_room.add_listener(lambda _room, event: heard.append(event), "m.room.message")
    room.send_text("Come in")
    room.send_notice("Wipe your feet")
    bob.listen_for_events(5000)
    assert [event["content"]["body"] for event in heard] == ["Come in", "Wipe your feet"], heard
    assert heard[0]["sender"] == alice.user_id

    token = bob.sync_token
    page = bob.api.get_room_messages(room.room_id, token, "b", limit=1)
    assert [event["content"]["body"] for event in page["chunk"]] == ["Wipe your feet"], page
    page = bob.api.get_room_messages(room.room_id, page["end"], "b", limit=1)
    assert [event["content"]["body"] for event in page["chunk"]] == ["Come in"], page

    assert room.kick_user(bob.user_id, "closing time")
    left = []
    bob.add_leave_listener(lambda room_id, _room: left.append(room_id))
    bob.listen_for_events(5000)
    assert left == [room.room_id], left
    refused(403, "M_FORBIDDEN", bob.api.send_message, room.room_id, "too late")
    assert room.ban_user(bob.user_id, "and stay out")
    refused(403, "M_FORBIDDEN", alice.api.invite_user, room.room_id, bob.user_id)
    assert room.unban_user(bob.user_id)
    assert room.leave()
    alice.logout()
    bob.logout()


if __name__ == "__main__":
    story(sys.argv[1])
    print("ok")
