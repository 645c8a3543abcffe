//! Published rooms, aliases and profiles, as the other server sees them.

use gatehouse_testkit::user::escaped;
use serde_json::{Value, json};

use super::{
    super::{person::Person, room_acts::wait_for},
    pair::Pair,
    world::World,
};

/// What the public rooms of a server, or of one's own, say about a room.
async fn published(person: &Person, server: Option<&str>, room: &str, name: &str) -> Value {
    let query = server
        .map(|server| format!("?server={}", escaped(server)))
        .unwrap_or_default();
    let body = json!({ "filter": { "generic_search_term": name } });
    let found = person
        .done("POST", &format!("/v3/publicRooms{query}"), Some(body))
        .await;
    let rooms = found["chunk"].as_array().unwrap();
    let room = rooms.iter().find(|found| found["room_id"] == room);
    room.cloned().unwrap_or_default()
}

async fn look_up(pair: &Pair<'_>) {
    let (host, guest) = (&pair.host, &pair.guest);
    let local = host.id[1..].split(':').next().unwrap();
    let (name, alias) = (
        format!("The rooms of {local}"),
        format!("#{local}:{}", host.server()),
    );
    let body = json!({ "preset": "public_chat", "visibility": "public", "room_alias_name": local, "name": name,
        "topic": "Tea" });
    let room = pair.room(body).await;
    // Synapse writes its list a little later.
    let what = format!("{room} in the list");
    let seen = wait_for(&what, async || {
        let seen = published(guest, Some(host.server()), &room, &name).await;
        (seen != Value::Null).then_some(seen)
    })
    .await;
    assert_eq!(seen, published(host, None, &room, &name).await);
    assert_eq!(
        [
            &seen["name"],
            &seen["topic"],
            &seen["canonical_alias"],
            &seen["num_joined_members"]
        ],
        [&json!(name), &json!("Tea"), &json!(alias), &json!(1)],
        "{seen}"
    );
    let path = format!("/v3/directory/room/{}", escaped(&alias));
    let found = guest.done("GET", &path, None).await;
    assert_eq!(
        (&found["room_id"], &found["servers"][0]),
        (&json!(room), &json!(host.server()))
    );
    guest.join(&alias).await;
    pair.agree(&room).await;
    host.done("DELETE", &path, None).await;
    let (status, answer) = guest.ask("GET", &path, None).await;
    assert_eq!(
        (status, &answer["errcode"]),
        (404, &json!("M_NOT_FOUND")),
        "{answer}"
    );
}

async fn look_at_each_other(pair: &Pair<'_>) {
    let (host, guest) = (&pair.host, &pair.guest);
    let set = async |person: &Person, field: &str, value: &str| {
        let path = format!("/v3/profile/{}/{field}", escaped(&person.id));
        person.done("PUT", &path, Some(json!({ field: value }))).await;
    };
    set(host, "displayname", "Alice \u{1F375}").await;
    set(host, "avatar_url", "mxc://example.org/tea").await;
    set(guest, "displayname", "Bob").await;
    let path = format!("/v3/profile/{}", escaped(&host.id));
    let profile = guest.done("GET", &path, None).await;
    assert_eq!(
        (&profile["displayname"], &profile["avatar_url"]),
        (&json!("Alice \u{1F375}"), &json!("mxc://example.org/tea"))
    );
    let room = pair.shared_room().await;
    let member = host.sees_member(&room, &guest.id, "join").await;
    assert_eq!(member["displayname"], "Bob");
    set(guest, "displayname", "Robert").await;
    let is_told = async || {
        let member = host.state(&room, "m.room.member", &guest.id).await?;
        (member["displayname"] == "Robert").then_some(())
    };
    wait_for("the new name", is_told).await;
    pair.agree(&room).await;
    let nobody = format!("/v3/profile/{}", escaped(&format!("@nobody:{}", host.server())));
    let (status, answer) = guest.ask("GET", &nobody, None).await;
    assert_eq!(
        (status, &answer["errcode"]),
        (404, &json!("M_NOT_FOUND")),
        "{answer}"
    );
}

#[tokio::test]
async fn rooms_aliases_and_profiles_of_one_server_are_found_from_the_other() {
    let world = World::begin().await;
    world.tell(look_up_all).await;
    world.end();
}

async fn look_up_all(pair: &Pair<'_>) {
    look_up(pair).await;
    look_at_each_other(pair).await;
}
