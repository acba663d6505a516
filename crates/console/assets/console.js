// Keeps a page as things are: changes come as server-sent events, each with its number, and the browser asks again from the
// last one by itself. Text is only ever set as text.
"use strict";

const inbox = document.querySelector("#inbox");
const one = document.querySelector("#one");
const LEVELS = ["low", "medium", "high", "critical"];

// The order of the inbox: by level, then by what is due soonest, then by risk.
const rank = (li) => [
  -LEVELS.indexOf(li.dataset.level),
  li.dataset.due ? Date.parse(li.dataset.due) : Infinity,
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

function row({ seq, taken_by: takenBy, record }) {
  const li = element("li");
  const risk = record.risk === undefined ? "\u2013" : Math.round(record.risk);
  Object.assign(li.dataset, {
    id: record.escalation, conversation: record.conversation, seq, level: record.level, due: record.respond_by || "", risk,
  });
  const what = element("p", undefined, "what");
  const link = element("a", record.excerpt || record.reasons[1] || record.conversation);
  link.href = "/escalations/" + record.escalation.split("/").map(encodeURIComponent).join("/");
  what.append(element("strong", record.level, "level " + record.level), " ", element("span", "risk " + risk, "risk"), " ", link);
  const who = element("p", undefined, "who");
  const words = [record.team, record.brand || "no brand", record.state.replaceAll("_", " ")];
  if (takenBy) words.push(takenBy + " has it");
  const due = element("time", undefined, "due");
  due.dateTime = record.respond_by || "";
  who.append(words.join(" \u00b7 "), " ", due);
  li.append(what, element("p", record.reasons[0], "why"), who);
  return li;
}

function isWanted(record) {
  const asked = new URLSearchParams(location.search);
  const least = Math.max(0, LEVELS.indexOf(asked.get("level")));
  const text = (asked.get("text") || "").toLowerCase();
  const words = [record.conversation, record.excerpt || "", ...record.reasons].join(" ").toLowerCase();
  return (!asked.get("team") || record.team === asked.get("team"))
    && LEVELS.indexOf(record.level) >= least && words.includes(text);
}

function change(item) {
  if (one) {
    if (item.record.escalation === one.dataset.id && item.seq > Number(one.dataset.seq)) location.reload();
    return;
  }
  const old = inbox.querySelector(`[data-id="${CSS.escape(item.record.escalation)}"]`);
  const picked = old && old.classList.contains("picked");
  if (old) old.remove();
  if (item.live && isWanted(item.record)) {
    const li = row(item);
    if (picked) li.classList.add("picked");
    const next = [...inbox.children].find((other) => before(li, other));
    inbox.insertBefore(li, next || null);
  }
  document.querySelector("#nothing").hidden = inbox.children.length > 0;
  clocks();
}

function listen() {
  const link = document.querySelector("#link");
  const source = new EventSource("/api/changes?since=" + (inbox || one).dataset.seq);
  source.addEventListener("open", () => { link.textContent = "live"; link.classList.remove("away"); });
  source.addEventListener("error", () => { link.textContent = "not connected: trying again"; link.classList.add("away"); });
  source.addEventListener("escalation", (event) => change(JSON.parse(event.data)));
}

// Clocks as a person says them, and times in the viewer's zone.
function clocks() {
  for (const time of document.querySelectorAll(".history time")) time.textContent = new Date(time.dateTime).toLocaleString();
  for (const time of document.querySelectorAll("time.due")) {
    if (!time.dateTime) continue;
    const minutes = Math.round((Date.parse(time.dateTime) - Date.now()) / 60000);
    const off = Math.abs(minutes);
    const span = off < 120 ? `${off} min` : off < 2880 ? `${Math.round(off / 60)} h` : `${Math.round(off / 1440)} days`;
    time.textContent = minutes < 0 ? `\u00b7 answer late by ${span}` : `\u00b7 answer due in ${span}`;
    time.classList.toggle("late", minutes < 0);
  }
}

const picked = () => one || inbox.querySelector(".picked");

function pick(step) {
  if (!inbox || !inbox.children.length) return;
  const all = [...inbox.children];
  const at = all.indexOf(picked());
  const next = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + step))];
  if (picked()) picked().classList.remove("picked");
  next.classList.add("picked");
  next.querySelector("a").focus();
}

function say(text) {
  const said = document.querySelector("#said");
  said.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { said.textContent = ""; }, 5000);
}

async function act(kind, more = {}) {
  const on = picked();
  if (!on) return say("Pick an escalation with j or k first.");
  const answer = await fetch("/api/actions", {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": crypto.randomUUID() },
    body: JSON.stringify({ conversation: on.dataset.conversation, kind, ...more }),
  }).catch(() => undefined);
  if (answer && answer.ok) return say(kind.replaceAll("_", " ") + ": sent");
  const problem = answer ? (await answer.json().catch(() => ({}))).problem : "the console does not answer";
  say("Not sent: " + (problem || "try again"));
}

// Asks which of several, by mouse or by number.
function ask(what, choices, then) {
  const dialog = document.querySelector("#ask");
  document.querySelector("#ask-what").textContent = what;
  const list = document.querySelector("#ask-choices");
  list.replaceChildren(...choices.map(([name, value], i) => {
    const button = element("button", `${i + 1}  ${name}`);
    button.type = "button";
    button.addEventListener("click", () => { dialog.close(); then(value); });
    return button;
  }));
  dialog.onkeydown = (event) => { const button = list.children[Number(event.key) - 1]; if (button) button.click(); };
  dialog.showModal();
}

const doing = {
  acknowledge: () => act("acknowledge"),
  resolve: () => act("resolve"),
  useful: () => act("useful"),
  noise: () => act("noise"),
  hand_over: () => {
    const teams = (inbox || one).dataset.teams.split(",");
    ask("Hand over to which team?", teams.map((team) => [team, team]), (team) => act("hand_over", { team }));
  },
  silence: () => {
    const hours = [["for an hour", 1], ["for four hours", 4], ["for a day", 24], ["for a week", 168]];
    ask("Silence it for how long?", hours, (h) => act("silence", { until: new Date(Date.now() + h * 3600000).toISOString() }));
  },
};
const KEYS = { a: "acknowledge", r: "resolve", h: "hand_over", s: "silence", u: "useful", n: "noise" };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input, select, textarea")) return;
  if (event.key === "j") pick(1);
  else if (event.key === "k") pick(-1);
  else if (event.key === "/") { const search = document.querySelector("[type=search]"); if (search) { event.preventDefault(); search.focus(); } }
  else if (event.key === "?") document.querySelector("#help").showModal();
  else if (KEYS[event.key]) { event.preventDefault(); doing[KEYS[event.key]](); }
});
document.addEventListener("click", (event) => { const kind = event.target.dataset && event.target.dataset.kind; if (kind) doing[kind](); });

if (inbox || one) listen();
clocks();
setInterval(clocks, 15000);
