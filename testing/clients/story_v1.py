"""The story of two people, told over the legacy v1 API of 2015 with matrix-client 0.4, its prefix set.

Usage: story_v1.py BASE_URL
"""

import sys
import warnings

from matrix_client.api import MatrixHttpApi
from matrix_client.errors import MatrixRequestError

PREFIX = "/_matrix/client/api/v1"
PASSWORD = "correct horse battery staple"

warnings.simplefilter("ignore", DeprecationWarning)


class LegacyApi(MatrixHttpApi):
    """The client with its prefix set; tokens went in the query then."""

    def __init__(self, base_url, token=None):
        super().__init__(base_url, token, use_authorization_header=False)

    def _send(self, method, path, content=None, query_params=None, headers=None, api_path=None, return_json=True):
        return super()._send(method, path, content, query_params, headers, PREFIX, return_json)

    def send(self, *arguments, **named):
        return self._send(*arguments, **named)


def newcomer(base_url, localpart):
    """Register, forget that, and come back through the login door."""
    api = LegacyApi(base_url)
    api.send("POST", "/register", {"type": "m.login.password", "user": localpart, "password": PASSWORD})
    flows = api.send("GET", "/login")["flows"]
    assert {"type": "m.login.password"} in flows, flows
    answer = api.login("m.login.password", user=localpart, password=PASSWORD)
    assert answer["user_id"].startswith(f"@{localpart}:") and answer["home_server"], answer
    api.token = answer["access_token"]
    return api, answer["user_id"]


def refused(code, action, *arguments):
    try:
        action(*arguments)
    except MatrixRequestError as error:
        assert error.code == code, (error.code, error.content)
        return
    raise AssertionError(f"{action} was not refused")


def bodies(chunk):
    return [event["content"]["body"] for event in chunk if event["type"] == "m.room.message"]


def story(base_url):
    alice, alice_id = newcomer(base_url, "v1_alice")
    bob, bob_id = newcomer(base_url, "v1_bob")
    server = alice_id.split(":", 1)[1]

    start = bob.initial_sync()["end"]
    created = alice.create_room(alias="v1_gate", name="Gate")
    room_id = created["room_id"]
    # Old clients cannot parse ids of room version 12, which have no server name.
    assert room_id.endswith(f":{server}"), created
    refused(403, bob.send, "POST", f"/rooms/{room_id}/join", {})

    alice.invite_user(room_id, bob_id)
    news = bob.event_stream(start, 5000)
    invite = news["chunk"][0]
    assert invite["type"] == "m.room.member" and invite["state_key"] == bob_id, news
    assert invite["user_id"] == alice_id and invite["content"]["membership"] == "invite", invite
    invited = [room for room in bob.initial_sync()["rooms"] if room["room_id"] == room_id]
    assert invited[0]["membership"] == "invite", invited

    assert bob.send("POST", f"/rooms/%23v1_gate:{server}/join", {})["room_id"] == room_id
    room = bob.send("GET", f"/rooms/{room_id}/initialSync", query_params={"limit": 5})
    assert room["membership"] == "join" and room["room_id"] == room_id, room
    members = {event["state_key"] for event in room["state"] if event["type"] == "m.room.member"}
    assert members == {alice_id, bob_id}, members

    token = bob.initial_sync()["end"]
    alice.send_message(room_id, "Come in")
    alice.send("POST", f"/rooms/{room_id}/send/m.room.message", {"msgtype": "m.text", "body": "Wipe your feet"})
    heard = []
    for _ in range(2):
        news = bob.event_stream(token, 5000)
        token = news["end"]
        heard += [event for event in news["chunk"] if event["type"] == "m.room.message"]
        if len(heard) == 2:
            break
    assert bodies(heard) == ["Come in", "Wipe your feet"], heard
    assert all(event["user_id"] == alice_id and "age" in event for event in heard), heard

    page = bob.get_room_messages(room_id, token, "b", limit=1)
    assert bodies(page["chunk"]) == ["Wipe your feet"], page
    page = bob.get_room_messages(room_id, page["end"], "b", limit=1)
    assert bodies(page["chunk"]) == ["Come in"], page
    assert alice.get_room_name(room_id)["name"] == "Gate"
    assert alice.send("GET", f"/directory/room/%23v1_gate:{server}")["room_id"] == room_id

    bob.set_display_name(bob_id, "Bob")
    assert alice.get_display_name(bob_id) == "Bob"

    bob.send("POST", f"/rooms/{room_id}/leave", {})
    refused(403, bob.send_message, room_id, "too late")
    assert room_id not in [room["room_id"] for room in bob.initial_sync()["rooms"]]


if __name__ == "__main__":
    story(sys.argv[1])
    print("ok")
