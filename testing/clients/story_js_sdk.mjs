// The story of two people, told with matrix-js-sdk: what the web clients are built on.
//
// Usage: node story_js_sdk.mjs BASE_URL FOLDER_OF_NODE_MODULES

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [baseUrl, environment] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(environment), "package.json"));
const sdk = await import(pathToFileURL(require.resolve("matrix-js-sdk")).href);

const PASSWORD = "correct horse battery staple";
const PATIENCE_MS = 20_000;
const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error: console.error, getChild: () => quiet };

// Resolve when the check holds, looking again at each event that the client emits.
function until(what, client, events, check) {
    return new Promise((resolve, reject) => {
        const look = () => {
            const found = check();
            if (found) finish(() => resolve(found));
        };
        const timer = setTimeout(() => finish(() => reject(new Error(`waited in vain: ${what}`))), PATIENCE_MS);
        const finish = (then) => {
            clearTimeout(timer);
            events.forEach((event) => client.off(event, look));
            then();
        };
        events.forEach((event) => client.on(event, look));
        look();
    });
}

// Register, forget that, and come back through the login door.
async function newcomer(localpart) {
    const stranger = sdk.createClient({ baseUrl, logger: quiet });
    await stranger.registerRequest({ username: localpart, password: PASSWORD, auth: { type: "m.login.dummy" } });
    await assert.rejects(stranger.loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: localpart },
        password: "wrong",
    }), { errcode: "M_FORBIDDEN" });
    const login = await stranger.loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: localpart },
        password: PASSWORD,
    });
    const client = sdk.createClient({
        baseUrl,
        userId: login.user_id,
        deviceId: login.device_id,
        accessToken: login.access_token,
        logger: quiet,
    });
    await client.startClient({ initialSyncLimit: 20, lazyLoadMembers: true });
    await until("first sync", client, [sdk.ClientEvent.Sync], () => client.isInitialSyncComplete());
    return client;
}

const anything = [sdk.ClientEvent.Sync, sdk.RoomEvent.Timeline, sdk.RoomEvent.MyMembership];
const alice = await newcomer("js_alice");
const bob = await newcomer("js_bob");
try {
    const { room_id: roomId } = await alice.createRoom({ name: "Gate", preset: sdk.Preset.PrivateChat });
    await assert.rejects(bob.joinRoom(roomId), { errcode: "M_FORBIDDEN" });

    await alice.invite(roomId, bob.getUserId());
    const invited = await until("invite", bob, anything, () => bob.getRoom(roomId));
    assert.equal(invited.getMyMembership(), "invite");
    assert.equal(invited.name, "Gate");

    await bob.joinRoom(roomId);
    const room = await until("join", bob, anything, () => {
        const room = bob.getRoom(roomId);
        return room?.getMyMembership() === "join" && room;
    });
    await room.loadMembersIfNeeded();
    assert.deepEqual(room.getJoinedMembers().map((member) => member.userId).sort(), [
        alice.getUserId(),
        bob.getUserId(),
    ]);

    const texts = () => room.getLiveTimeline().getEvents().filter((event) => event.getType() === "m.room.message")
        .map((event) => event.getContent().body);
    await alice.sendTextMessage(roomId, "Come in");
    await until("first words", bob, anything, () => texts().length === 1);
    await bob.sendTextMessage(roomId, "Thank you");
    await until("talk", bob, anything, () => texts().length >= 2);
    assert.deepEqual(texts(), ["Come in", "Thank you"]);
    // The echo of what one sends oneself is known by its transaction id and shown once.
    await until("echo", bob, [...anything, sdk.RoomEvent.LocalEchoUpdated], () =>
        room.getLiveTimeline().getEvents().every((event) => event.status === null));
    assert.deepEqual(texts(), ["Come in", "Thank you"]);

    await bob.leave(roomId);
    await until("leave", bob, anything, () => bob.getRoom(roomId)?.getMyMembership() === "leave");
    await assert.rejects(bob.sendTextMessage(roomId, "too late"), { errcode: "M_FORBIDDEN" });
    await bob.forget(roomId);
    await bob.logout(true);
} finally {
    alice.stopClient();
    bob.stopClient();
}
console.log("ok");
process.exit(0);
