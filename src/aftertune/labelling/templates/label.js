// The page of one rater: which prompt is open, which response is being rated, and what the keys do.
import { control, element } from "aftertune/basics.js";
import { Prompt } from "./marks.js";
import { Outbox } from "./save.js";

const LEVELS = [
  ["1", "random, or repeats itself", "Says something at random, or only repeats itself or the prompt: it does not follow."],
  ["2", "of some use, ill ordered", "Has something in it that helps with the request, but it is not put together well."],
  ["3", "follows, details missing", "Does what the prompt asks on the whole, and misses some of the details that it asks for."],
  ["4", "as good as a person’s", "A person could have written it; nothing that was asked is missing."],
];
const KEYS = [
  ["1 2 3 4", "rate the framed response; then the next one is framed"], ["0", "take its rating back"],
  ["a b …", "frame that response"], ["j →", "next prompt"], ["k ←", "previous prompt"],
  ["n", "next prompt that is not finished: a response is not rated, or no instruction is marked"],
  ["p", "go into the prompt; there ↓ ↑ select a sentence, → ← a word, with Shift more"],
  ["m", "mark what is selected; once more to unmark it"], ["t", "take over the marks of the prompt file"],
  ["x", "clear all marks of this prompt"], ["u", "undo the last action"], ["?", "this help"],
];
// `unsaved` are ratings that the server has not confirmed yet, as "prompt response".
const view = { prompts: [], at: 0, active: 0, actions: 0, task: null, unsaved: new Set(), ready: Promise.resolve() };
const prompt = new Prompt(control("prompt"));
const outbox = new Outbox(showSaved, answer => { view.actions = answer.n_actions; });

function showSaved(state, problem) {
  const sign = control("saved"), told = control("problem");
  sign.dataset.state = state;
  sign.textContent = { saved: "All saved", saving: "Saving", waiting: "Not saved" }[state];
  if (told.textContent !== problem) told.textContent = problem;
  told.hidden = !problem;
  if (state === "saved") view.unsaved.clear();
  document.querySelectorAll(".answer").forEach(tellRated);
}

/* What a card says of its own rating, and whether the disk has it. */
function tellRated(card, index) {
  const rating = current().ratings[index], sign = card.querySelector(".rated");
  sign.textContent = rating ? `rated ${rating}` : "not rated";
  sign.dataset.kept = rating ? (view.unsaved.has(`${view.at} ${index}`) ? "not yet" : "yes") : "";
}

async function load(path) {
  const found = await fetch(path);
  if (!found.ok) throw new Error(found.status === 403 ? "open the address that aftertune label printed last." : (await found.json()).error);
  return found.json();
}

async function open(at) {
  if (at < 0 || at >= view.prompts.length) return;
  try {
    Object.assign(view, { task: await load(`/prompts/${at}`), at });
  } catch (error) {
    showSaved("waiting", `This prompt could not be loaded: ${error.message}`);
    return;
  }
  history.replaceState(null, "", `#${at + 1}`);
  const state = current();
  view.active = Math.max(state.ratings.indexOf(null), 0);
  const inside = document.activeElement?.closest("#answers");
  prompt.show(view.task.messages, state.spans, view.task.given);
  control("answers").replaceChildren(...view.task.answers.map(answerCard));
  if (inside) control("title").focus();
  refresh();
  control("say").textContent = `Prompt ${at + 1} of ${view.prompts.length}`;
}

const current = () => view.prompts[view.at];
const letter = index => String.fromCharCode(65 + index);
const isRated = ({ ratings }) => !ratings.includes(null);
const isMarked = state => state.spans.length > 0 || state.given;
const isDone = state => isRated(state) && isMarked(state);

function answerCard(text, index) {
  const card = element("section", "card answer"), head = element("div", "line"), title = element("h2", "", `Response ${letter(index)} `);
  const body = element("div", text ? "text" : "text empty", text || "This response is empty.");
  title.id = `answer-${index}`;
  title.append(element("kbd", "", letter(index).toLowerCase()));
  head.append(title, element("span", "rated"));
  body.tabIndex = 0;
  body.setAttribute("role", "group");
  body.setAttribute("aria-labelledby", title.id);
  card.setAttribute("aria-labelledby", title.id);
  card.append(head, body, levels(index));
  card.addEventListener("pointerdown", () => frame(index));
  card.addEventListener("focusin", () => frame(index));
  return card;
}

function levels(index) {
  const set = element("fieldset");
  set.append(element("legend", "", `Helpfulness of response ${letter(index)}`), ...LEVELS.map(([level, short, long]) => {
    const box = element("label", "level"), input = element("input");
    Object.assign(input, { type: "radio", name: `helpfulness-${index}`, value: level });
    input.addEventListener("change", () => rate(index, Number(level)));
    box.title = long;
    box.append(input, element("b", "", level), element("span", "", short));
    return box;
  }));
  return set;
}

function frame(index) {
  if (index >= view.task.answers.length) return;
  view.active = index;
  document.querySelectorAll(".answer").forEach((card, at) => card.classList.toggle("active", at === index));
}

function refresh() {
  const { at, prompts } = view, state = current();
  control("title").textContent = `Prompt ${at + 1} of ${prompts.length}: ${state.id}`;
  control("choose").value = at;
  document.querySelectorAll(".answer").forEach((card, index) => {
    card.classList.toggle("active", index === view.active);
    card.querySelectorAll("input").forEach(input => { input.checked = Number(input.value) === state.ratings[index]; });
    tellRated(card, index);
  });
  prompts.forEach((one, index) => { control("choose").options[index].textContent = optionText(one, index); });
  enable("previous", at > 0);
  enable("next", at < prompts.length - 1);
  for (const id of ["unfinished", "onward"]) enable(id, !prompts.every(isDone));
  enable("undo", view.actions > 0 || outbox.waiting.length > 0);
  enable("clear", state.spans.length > 0);
  control("take").hidden = !view.task.given.length || state.spans.length > 0;
  progress();
  selectionChanged();
}

function progress() {
  const ratings = view.prompts.flatMap(one => one.ratings), rated = ratings.filter(Boolean).length;
  const marked = view.prompts.filter(one => one.spans.length).length, filed = view.prompts.filter(isMarked).length - marked;
  const more = filed ? ` (${filed} by the prompt file)` : "";
  control("done").textContent = `${rated} of ${ratings.length} rated, ${marked} of ${view.prompts.length} marked${more}`;
  Object.assign(control("bar"), { max: ratings.length + view.prompts.length - filed, value: rated + marked });
}

function optionText(one, index) {
  const rated = one.ratings.filter(Boolean).length;
  return `${isDone(one) ? "✓" : rated || one.spans.length ? "◐" : "○"} ${index + 1}  ${one.id}`;
}

const enable = (id, can) => control(id).setAttribute("aria-disabled", String(!can));

function selectionChanged() {
  const selected = prompt.texts ? prompt.selected() : [];
  enable("mark", selected.length > 0);
  control("mark").firstChild.textContent = prompt.covers(selected) ? "Unmark selection " : "Mark selection ";
}

// What was done shows at once; the server's word on it replaces it, unless more was done in the meantime.
async function act(at, path, body) {
  refresh();
  take(await outbox.send(`/prompts/${at}/${path}`, () => body));
}

function take(answer) {
  if (answer?.state && !outbox.waiting.length) {
    view.prompts[answer.number] = answer.state;
    if (answer.number === view.at) prompt.update(answer.state.spans);
  }
  if (!answer) return reload();
  refresh();
}

async function reload() {
  const found = await load("/prompts").catch(() => null);
  if (!found || outbox.waiting.length) return;
  Object.assign(view, { prompts: found.prompts, actions: found.n_actions });
  prompt.update(current().spans);
  refresh();
}

function rate(index, helpfulness) {
  if (index >= view.task.answers.length) return;
  current().ratings[index] = helpfulness;
  view.unsaved.add(`${view.at} ${index}`);
  const next = current().ratings.indexOf(null);
  view.active = helpfulness && next >= 0 ? next : index;
  control("say").textContent = `Response ${letter(index)}: ${helpfulness ?? "rating taken back"}`;
  act(view.at, "rate", { answer: index, helpfulness });
}

function setSpans(spans) {
  current().spans = spans;
  getSelection().removeAllRanges();
  prompt.draw(spans);
  control("say").textContent = spans.length ? `Marked: ${control("prompt").querySelectorAll("mark").length} parts` : "No marks";
  act(view.at, "mark", { spans });
}

const commands = {
  mark() { const spans = prompt.toggled(); if (spans) setSpans(spans); },
  clear() { if (current().spans.length) setSpans([]); },
  take() { if (!current().spans.length && view.task.given.length) setSpans(view.task.given); },
  previous() { return open(view.at - 1); },
  next() { return open(view.at + 1); },
  unfinished() {
    const order = [...view.prompts.keys()].map(step => (view.at + 1 + step) % view.prompts.length);
    const found = order.find(index => !isDone(view.prompts[index]));
    if (found !== undefined) return open(found);
    control("say").textContent = "Everything is labelled.";
  },
  undo() { undo(); }, // not waited for, since the server may be gone
  help() { control("dialog").showModal(); },
};

async function undo() {
  const answer = await outbox.send("/undo", () => view.actions ? { n_actions: view.actions } : null);
  if (!answer || answer.number === null) return answer && reload();
  run(async () => {
    if (answer.number !== view.at) await open(answer.number);
    take(answer);
    view.active = Math.max(current().ratings.indexOf(null), 0);
    refresh();
    control("say").textContent = "Undone";
  });
}

// One command after the other: what is pressed while a prompt is still being loaded is meant for that prompt.
function run(command) {
  view.ready = view.ready.then(command);
}

const keys = { m: "mark", x: "clear", t: "take", k: "previous", ArrowLeft: "previous", j: "next", ArrowRight: "next", n: "unfinished", u: "undo", "?": "help" };

function key(event) {
  const isTyping = event.target.closest("select, dialog, input:not([type=radio])");
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping || !view.task) return;
  if (event.target.type === "radio" && event.key.startsWith("Arrow")) return;
  if (event.key.length === 1 && !control("keys-on").checked && event.key !== "?") return;
  const command = commandOf(event.key);
  if (!command) return;
  event.preventDefault();
  run(command);
}

function commandOf(name) {
  if (keys[name]) return commands[keys[name]];
  if (/^[1-4]$/.test(name)) return () => rate(view.active, Number(name));
  if (name === "0") return () => { if (current().ratings[view.active]) rate(view.active, null); };
  if (name === "p") return () => prompt.enter();
  return /^[a-h]$/.test(name) ? () => frame(name.charCodeAt(0) - 97) : null;
}

function list(box, rows) {
  box.replaceChildren(...rows.flatMap(([term, text]) => [element("dt", "", term), element("dd", "", text)]));
}

async function start() {
  list(control("levels"), LEVELS.map(([level, , long]) => [level, long]));
  list(control("keys"), KEYS);
  const found = await load("/prompts");
  Object.assign(view, { prompts: found.prompts, actions: found.n_actions });
  control("rater").textContent = `as ${found.rater}`;
  control("choose").replaceChildren(...found.prompts.map(() => element("option")));
  [...control("choose").options].forEach((option, index) => { option.value = index; });
  control("choose").addEventListener("change", event => run(() => open(Number(event.target.value))));
  for (const [name, command] of [...Object.entries(commands), ["onward", commands.unfinished]]) {
    control(name).addEventListener("click", event => { if (event.currentTarget.getAttribute("aria-disabled") !== "true") run(command); });
  }
  control("mark").addEventListener("pointerdown", event => event.preventDefault()); // which would take the selection away
  control("keys-on").checked = localStorage.getItem("keys") !== "off";
  control("keys-on").addEventListener("change", event => localStorage.setItem("keys", event.target.checked ? "on" : "off"));
  document.addEventListener("keydown", key);
  document.addEventListener("selectionchange", () => { if (view.task) selectionChanged(); });
  const first = found.prompts.findIndex(one => !isDone(one)), wanted = Number(location.hash.slice(1)) - 1;
  showSaved("saved", "");
  await open(wanted >= 0 && wanted < found.prompts.length ? wanted : Math.max(first, 0));
}

start().catch(error => showSaved("waiting", `The page could not be opened: ${error.message}`));
