// Keeps a page up to date. Changes arrive as server-sent events, each with its number, and after a disconnect
// the browser resumes from the last one. Text is only ever set as text, never as HTML.
"use strict";

const $ = (what) => document.querySelector(what);
const inbox = $("#inbox");
const one = $("#one");
const wall = $("#wall");
const LEVELS = ["low", "medium", "high", "critical"];
// Maximum number of rows shown; the server has the rest.
const ROWS = 100;
// Offset of the server's clock in ms: the server may be playing a recording, and the viewer's clock may be
// off.
const ahead = Date.parse(document.body.dataset.now) - Date.now();
const now = () => Date.now() + ahead;

// Sort key of the inbox: level, then storms first, then the earliest due, then the highest risk.
const rank = (li) => [
  -LEVELS.indexOf(li.dataset.level),
  li.dataset.incident === "storm" ? 0 : li.dataset.due ? Date.parse(li.dataset.due) : Infinity,
  -(parseFloat(li.dataset.risk) || 0),
  li.dataset.id,
];

function before(a, b) {
  const [x, y] = [rank(a), rank(b)];
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return x[i] < y[i];
  return false;
}

function element(tag, text, of) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (of) made.className = of;
  return made;
}

const counted = (n, noun) => n.toLocaleString("en") + " " + noun + (n === 1 ? "" : "s");
const isStorm = (record) => record.incident === "storm";
const KINDS = { storm: "Storm", group: "Group", digest: "Digest", silence_notice: "Silence" };

function title(record, said) {
  const kind = KINDS[record.incident];
  const ofPost = record.reasons[(record.reason_kinds || []).indexOf("complaint")];
  if (!kind) return record.excerpt || said || ofPost || record.conversation;
  const about = (record.topics || []).length ? ": " + record.topics.join(", ") : "";
  return `${kind} at ${record.brand || "a brand"}${about} (${counted(record.members || 0, "post")})`;
}

const isSilenced = (record) => record.silenced_until && Date.parse(record.silenced_until) > now();

function silence(until) {
  const time = element("time", undefined, "clock");
  time.dateTime = until;
  const words = element("span", "\u00b7 silenced until ", "silenced");
  words.append(time);
  return words;
}

function row({ seq, said, taken_by: takenBy, record }) {
  const li = element("li");
  const risk = record.risk === undefined ? "\u2013" : Math.round(record.risk);
  Object.assign(li.dataset, {
    id: record.escalation, conversation: record.conversation, incident: record.incident, team: record.team, seq, step: record.step, level: record.level, due: record.respond_by || "", risk,
  });
  const what = element("p", undefined, "what");
  const link = element("a", title(record, said));
  link.href = "/escalations/" + record.escalation.split("/").map(encodeURIComponent).join("/");
  const badge = isStorm(record) ? "storm" : "risk " + risk;
  what.append(element("strong", record.level, "level " + record.level), " ", element("span", badge, "risk"), " ", link);
  const who = element("p", undefined, "who");
  const words = [record.team, record.brand, record.platform, record.state.replaceAll("_", " ")].filter(Boolean);
  if (takenBy) words.push("assigned to " + takenBy);
  const due = element("time", undefined, "due");
  due.dateTime = record.respond_by || "";
  who.append(words.join(" \u00b7 "));
  if (isSilenced(record)) who.append(" ", silence(record.silenced_until));
  who.append(" ", due);
  li.append(what, element("p", record.reasons[0], "why"), who);
  return li;
}

const asked = new URLSearchParams(location.search);

function isWanted({ live, taken_by: takenBy = "", record }) {
  if (live === asked.has("over") || (asked.get("silenced") && !isSilenced(record))) return false;
  const least = Math.max(0, LEVELS.indexOf(asked.get("level")));
  const text = (asked.get("text") || "").toLowerCase();
  const words = [record.conversation, record.excerpt || "", ...record.reasons, ...(record.topics || [])].join(" ").toLowerCase();
  const is = (key, value) => !asked.get(key) || asked.get(key) === value;
  return is("team", record.team) && is("brand", record.brand) && is("platform", record.platform)
    && is("owner", takenBy || "-") && LEVELS.indexOf(record.level) >= least && words.includes(text);
}

// Changes wait for the next frame, only the latest of each escalation, so that many per second do not stall
// the page.
const waiting = new Map();
let drawn = 0;

function change(item) {
  confirm(item);
  waiting.set(item.record.escalation, item);
  if (!drawn) drawn = setTimeout(() => requestAnimationFrame(draw), 100);
}

function draw() {
  drawn = 0;
  const items = [...waiting.values()];
  waiting.clear();
  if (wall) return refresh();
  if (one) {
    if (items.some((item) => item.record.escalation === one.dataset.id && item.seq > Number(one.dataset.seq))) renew();
    return;
  }
  const shown = new Map([...inbox.children].map((li) => [li.dataset.id, li]));
  for (const item of items) place(item, shown);
  // Rows beyond the limit belong to the next page; after rows have left, fill up from the server.
  while (inbox.children.length > ROWS) inbox.lastElementChild.remove();
  if (inbox.children.length < ROWS / 2 && $("#more")) refill();
  $("#nothing").hidden = inbox.children.length > 0;
  clocks();
}

function place(item, shown) {
  const old = shown.get(item.record.escalation);
  const picked = old && old.classList.contains("picked");
  const focused = old && old.contains(document.activeElement);
  const after = old && old.nextElementSibling;
  if (old) { old.remove(); shown.delete(item.record.escalation); }
  if (!isWanted(item)) {
    if (!picked || !after) return;
    // After an own action the selection and the focus move to the next row. When somebody else took the row away,
    // only `j` moves there, so that no key acts on a row that nobody chose.
    if (!lastActed || item.record.escalation !== lastActed.dataset.id) { upcoming = after; return; }
    after.classList.add("picked");
    if (focused) after.querySelector("a").focus();
    return;
  }
  const li = row(item);
  const rows = inbox.children;
  if (asked.has("after") && !old) return;
  let [low, high] = [0, rows.length];
  while (low < high) { const mid = (low + high) >> 1; if (before(li, rows[mid])) high = mid; else low = mid + 1; }
  inbox.insertBefore(li, rows[low] || null);
  shown.set(item.record.escalation, li);
  if (picked) li.classList.add("picked");
  if (focused) li.querySelector("a").focus();
}

async function refill() {
  const query = new URLSearchParams(location.search);
  query.set("most", ROWS);
  const answer = await fetch("/api/escalations?" + query).catch(() => undefined);
  if (!answer || !answer.ok) return;
  const page = await answer.json();
  const picked = $(".picked") && $(".picked").dataset.id;
  inbox.replaceChildren(...page.items.map(row));
  for (const li of inbox.children) if (li.dataset.id === picked) li.classList.add("picked");
  if (!page.next) $("#more").remove();
  clocks();
}

// Updates this page's parts from the server, but keeps the draft and the loaded conversation.
async function renew() {
  const answer = await fetch(location.href).catch(() => undefined);
  if (!answer || !answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("#one");
  if (!fresh) return;
  Object.assign(one.dataset, { seq: fresh.dataset.seq, step: fresh.dataset.step });
  document.title = page.title;
  for (const part of [".what", "h1", ".who", ".do", "#why", ".history"]) {
    const [old, next] = [one.querySelector(part), fresh.querySelector(part)];
    if (old && next && old.innerHTML !== next.innerHTML) old.replaceWith(document.adoptNode(next));
  }
  clocks();
}

let refreshed = 0;
async function refresh() {
  if (Date.now() - refreshed < 2000) { if (!drawn) drawn = setTimeout(draw, 2000); return; }
  refreshed = Date.now();
  const answer = await fetch(location.href).catch(() => undefined);
  if (!answer || !answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  $("#wall").replaceWith(document.adoptNode(page.querySelector("#wall")));
}

// Browsers allow few connections per server, so a hidden page closes its stream and later resumes from its
// last change. A browser reconnects by itself, but not after an error response, such as one from a proxy.
let source;
let last;

function listen() {
  if (source) return;
  const link = $("#link");
  const own = source = new EventSource("/api/changes?since=" + last);
  own.addEventListener("open", () => { link.textContent = "live"; link.classList.remove("away"); });
  own.addEventListener("error", () => {
    if (own !== source) return;
    link.textContent = "disconnected; reconnecting";
    link.classList.add("away");
    if (own.readyState === EventSource.CLOSED) { source = undefined; setTimeout(listen, 2000); }
  });
  // The console has read its topics again, so the numbers of changes are new.
  own.addEventListener("restart", () => location.reload());
  own.addEventListener("escalation", (event) => {
    if (event.lastEventId) last = event.lastEventId;
    change(JSON.parse(event.data));
  });
}

function hush() {
  if (source) source.close();
  source = undefined;
}

// Shows times in the viewer's zone, and due times as remaining or overdue spans.
function clocks() {
  for (const time of document.querySelectorAll("time.clock:not(.said)")) {
    time.textContent = new Date(time.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    time.title = time.dateTime;
    time.classList.add("said");
  }
  for (const words of document.querySelectorAll(".silenced")) {
    if (Date.parse(words.querySelector("time").dateTime) <= now()) words.remove();
  }
  if (asked.has("silenced") && inbox) for (const li of [...inbox.children]) if (!li.querySelector(".silenced")) li.remove();
  for (const time of document.querySelectorAll("time.due")) {
    if (!time.dateTime) continue;
    const minutes = Math.round((Date.parse(time.dateTime) - now()) / 60000);
    const off = Math.abs(minutes);
    const span = off < 120 ? `${off} min` : off < 2880 ? `${Math.round(off / 60)} h` : `${Math.round(off / 1440)} days`;
    time.textContent = minutes < 0 ? `\u00b7 reply overdue by ${span}` : `\u00b7 reply due in ${span}`;
    time.classList.toggle("late", minutes < 0);
  }
}

// The row after one that somebody else took away, and the row of the last own action.
let upcoming;
let lastActed;
const picked = () => one || (inbox && inbox.querySelector(".picked"));

function pick(step) {
  if (!inbox || !inbox.children.length) return;
  const all = [...inbox.children];
  const at = all.indexOf(picked());
  const first = Math.max(0, all.indexOf(upcoming));
  const next = all[at < 0 ? first : Math.min(all.length - 1, Math.max(0, at + step))];
  if (picked()) picked().classList.remove("picked");
  next.classList.add("picked");
  upcoming = undefined;
  next.querySelector("a").focus();
}

function say(text) {
  const said = $("#said");
  said.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { said.textContent = ""; }, 6000);
}

// Sends a request; returns [result], or [undefined, problem] if it failed.
async function send(method, path, body, headers = {}) {
  const answer = await fetch(path, {
    method,
    headers: { "content-type": "application/json", "x-csrf-token": $("meta[name=csrf]").content, ...headers },
    body: body && JSON.stringify(body),
  }).catch(() => undefined);
  const reply = answer ? await answer.json().catch(() => ({})) : {};
  if (answer && answer.ok) return [reply];
  return [undefined, reply.problem || (answer ? "try again" : "no response from the console")];
}

// Actions that were sent and of which no record has come yet, by escalation. The engine applies an action within
// seconds, if it runs.
const sent = new Map();
const NO_RECORD = ["useful", "noise"];

function expect(on, kind) {
  if (NO_RECORD.includes(kind)) return;
  const { id, step } = on.dataset;
  clearTimeout((sent.get(id) || {}).timer);
  const timer = setTimeout(() => {
    say(`${kind.replaceAll("_", " ")} of ${name(on)}: sent, but nothing has happened. firewatch run is not running or lags, or the escalation has nothing left to act on.`);
  }, 10000);
  sent.set(id, { step: Number(step), timer });
}

function confirm({ record }) {
  const waits = sent.get(record.escalation);
  const isOwn = (record.happened || "").includes(document.body.dataset.person);
  if (!waits || record.step <= waits.step || !isOwn) return;
  clearTimeout(waits.timer);
  sent.delete(record.escalation);
  say(record.happened);
}

// The beginning of an escalation's title.
const name = (on) => (on.querySelector("a, h1") || on).textContent.trim().slice(0, 40);

async function act(kind, more = {}, on = picked()) {
  if (!on) return say("Select an escalation with j or k first.");
  if (!("mayAct" in document.body.dataset)) return say("You have read-only access; acting needs the role responder.");
  const action = { conversation: on.dataset.conversation, escalation: on.dataset.id, kind, ...more };
  const [done, problem] = await send("POST", "/api/actions", action, { "idempotency-key": crypto.randomUUID() });
  if (done) { lastActed = on; expect(on, kind); }
  say(done ? kind.replaceAll("_", " ") + ": sent" : "Not sent: " + problem);
}

// Lets the user choose one of several options, by mouse or by number key.
function ask(what, choices, then) {
  const dialog = $("#ask");
  $("#ask-what").textContent = what;
  const list = $("#ask-choices");
  list.replaceChildren(...choices.map(([name, value], i) => {
    const button = element("button", `${i + 1}  ${name}`);
    button.type = "button";
    button.addEventListener("click", () => { dialog.close(); then(value); });
    return button;
  }));
  dialog.onkeydown = (event) => { const button = list.children[Number(event.key) - 1]; if (button) button.click(); };
  dialog.showModal();
}

// Asks about the selected escalation, and answers with it: the selection may change meanwhile.
function askAbout(what, choices, then) {
  const on = picked();
  if (!on) return say("Select an escalation with j or k first.");
  ask(`${what} (${name(on)})`, choices, (value) => then(value, on));
}

const doing = {
  acknowledge: () => act("acknowledge"),
  resolve: () => act("resolve"),
  // The row of the last action may have left the list.
  reopen: () => act("reopen", {}, one || (asked.has("over") ? picked() : lastActed)),
  undo: () => act("undo", {}, one || lastActed || picked()),
  reply: () => act("reply"),
  hand_off: () => {
    const channels = [["Direct message", "dm"], ["E-mail", "email"], ["Phone", "phone"]];
    askAbout("Where does the conversation continue?", channels, (channel, on) => act("hand_off", { channel }, on));
  },
  unsilence: () => act("unsilence"),
  useful: () => act("useful"),
  noise: () => act("noise"),
  hand_over: () => {
    const own = picked() && picked().dataset.team;
    const teams = (inbox || one).dataset.teams.split(",").filter((team) => team !== own);
    askAbout("Hand over to which team?", teams.map((team) => [team, team]), (team, on) => act("hand_over", { team }, on));
  },
  silence: () => {
    if (picked() && picked().querySelector(".silenced")) return act("unsilence");
    const hours = [["1 hour", 1], ["4 hours", 4], ["1 day", 24], ["1 week", 168]];
    askAbout("Silence for how long?", hours, (h, on) => act("silence", { until: new Date(now() + h * 3600000).toISOString() }, on));
  },
};
const KEYS = { a: "acknowledge", r: "resolve", h: "hand_over", s: "silence", u: "useful", n: "noise", o: "reopen", z: "undo" };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  if (event.target.matches("input, select, textarea")) return;
  if (event.key === "j") pick(1);
  else if (event.key === "k") pick(-1);
  else if (event.key === "/") { const search = $("[type=search]"); if (search) { event.preventDefault(); search.focus(); } }
  else if (event.key === "?") $("#help").showModal();
  else if (KEYS[event.key] && (inbox || one)) { event.preventDefault(); doing[KEYS[event.key]](); }
});

const voice = ({ name, followers, did }) => [
  name || "unnamed account",
  followers === null ? "" : `(${followers.toLocaleString("en", { notation: followers < 1e6 ? "standard" : "compact" })} followers)`,
  did,
].filter(Boolean).join(" ");

async function showThread(unredacted) {
  const path = "/api/threads/" + one.dataset.id.split("/").map(encodeURIComponent).join("/");
  const answer = await fetch(path + (unredacted ? "?unredacted=true" : "")).catch(() => undefined);
  const reply = answer ? await answer.json().catch(() => ({})) : {};
  if (answer && answer.status === 403 && (reply.problem || "").includes("/confirm")) {
    location.assign("/confirm?to=" + encodeURIComponent(location.pathname));
    return;
  }
  if (!answer || !answer.ok) return say("Cannot show the conversation: " + (reply.problem || "try again"));
  const list = element("ol", undefined, "thread");
  for (const said of reply.said) {
    const li = element("li", undefined, said.is_brand ? "brand" : "");
    const time = element("time", undefined, "clock");
    time.dateTime = said.at;
    li.append(element("p", said.text || "(no text)"), element("small", voice(said.by) + " \u00b7 "), time);
    list.append(li);
  }
  const voices = element("ul");
  for (const one of reply.voices) voices.append(element("li", voice(one)));
  const parts = reply.said.length ? [list] : [element("p", "The events topic no longer holds this conversation.")];
  if (reply.voices.length) parts.push(element("h3", "Biggest voices"), voices);
  if (reply.is_cut) parts.push(element("p", "The search hit its limit; posts may be missing."));
  $("#thread").replaceChildren(...parts);
  clocks();
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { kind, remove, reset, withdraw, channel, send: what } = button.dataset;
  if (kind) doing[kind]();
  if (button.id === "show-thread") showThread(false);
  if (button.id === "show-unredacted") showThread(true);
  if (withdraw) {
    const [done, problem] = await send("DELETE", "/api/invitations/" + encodeURIComponent(withdraw));
    if (done) location.reload(); else say("Not withdrawn: " + problem);
  }
  if (remove) ask(`Remove ${remove}?`, [["Yes, and end all sessions", true]], async () => {
    const [done, problem] = await send("DELETE", "/api/people/" + encodeURIComponent(remove));
    if (done) location.reload(); else say("Not removed: " + problem);
  });
  if (reset) ask(`Reset the second factor of ${reset}?`, [["Yes, and end all sessions", true]], async () => {
    const [done, problem] = await send("DELETE", "/api/people/" + encodeURIComponent(reset) + "/second-factor");
    if (done) location.reload(); else say("Not reset: " + problem);
  });
  if (what) {
    say("Sending \u2026");
    const [done, problem] = await send("POST", "/api/notifications", { channel, what });
    say(done ? done.said : problem);
  }
});

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.id !== "guard" && form.id !== "invite") return;
  event.preventDefault();
  const fields = new FormData(form);
  if (form.id === "guard") {
    const [reply, problem] = await send("POST", "/api/guard", { draft: fields.get("draft") });
    $("#verdict").textContent = reply ? reply.said : problem;
    $("#verdict").className = reply && reply.send ? "good" : "problem";
  } else {
    const [reply, problem] = await send("POST", "/api/people", { name: fields.get("name"), roles: fields.getAll("roles") });
    $("#invitation").textContent = reply ? "Send them this link: " + location.origin + reply.path : problem;
  }
});

// Leave the form's empty fields out of the address.
const filters = $("#filters");
if (filters) filters.addEventListener("formdata", ({ formData }) => { for (const [key, value] of [...formData]) if (!value) formData.delete(key); });

// On a phone, fold the filters while none is set.
const narrow = $("#narrow");
if (narrow && matchMedia("(max-width: 40rem)").matches && ![...asked.keys()].some((key) => key !== "text")) narrow.open = false;

const followed = inbox || one || wall;
if (followed) {
  last = followed.dataset.seq;
  listen();
  document.addEventListener("visibilitychange", () => { if (document.hidden) hush(); else listen(); });
}
if (wall) setInterval(refresh, 30000);
clocks();
setInterval(clocks, 15000);
