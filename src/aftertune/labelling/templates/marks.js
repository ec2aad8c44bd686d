// The prompt: its text with marks, and what is selected in it. Spans are [start, end, message] in characters (code
// points, as the disk has them); places in the page are code units, so both are converted here and nowhere else.
import { element } from "aftertune/basics.js";

export class Prompt {
  constructor(box) {
    this.box = box;
    this.messages = [];
    this.spans = [];
    this.given = [];
    box.addEventListener("keydown", event => this.key(event));
    box.addEventListener("click", event => this.click(event));
  }

  show(messages, spans, given) {
    this.messages = messages;
    this.given = given;
    this.units = this.cursor = null;
    this.box.replaceChildren(...messages.map((message, index) => this.message(message, index)));
    this.texts = [...this.box.querySelectorAll(".text")];
    this.box.scrollTop = 0;
    this.draw(spans);
  }

  message({ role }, index) {
    const box = element("div", `message ${role}`), text = element("div", "text");
    text.dataset.message = index;
    if (this.messages.length > 1) box.append(element("div", "role", role));
    box.append(text);
    return box;
  }

  draw(spans) {
    this.spans = spans;
    const shown = spans.length ? spans : this.given, [tag, name] = spans.length ? ["mark", ""] : ["span", "given"];
    this.messages.forEach(({ text }, index) => {
      const ranges = joined(shown.filter(span => span[2] === index)).map(([start, end]) => [unit(text, start), unit(text, end)]);
      const parts = [];
      let at = 0;
      for (const [start, end] of ranges) {
        parts.push(text.slice(at, start), element(tag, name, text.slice(start, end)));
        at = end;
      }
      this.texts[index].replaceChildren(...parts.filter(part => part !== ""), text.slice(at));
    });
  }

  // Drawing anew would take away what is being selected, so nothing is drawn that is there already.
  update(spans) {
    if (JSON.stringify(spans) !== JSON.stringify(this.spans)) this.draw(spans);
  }

  // What is selected in the users' messages, as spans without white space at their ends.
  selected() {
    const selection = getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return [];
    const range = selection.getRangeAt(0);
    return this.messages.flatMap(({ role, text }, index) => {
      if (role !== "user" || !range.intersectsNode(this.texts[index])) return [];
      const start = this.offset(index, range.startContainer, range.startOffset, 0);
      const end = this.offset(index, range.endContainer, range.endOffset, text.length);
      const piece = text.slice(start, end), bare = piece.trim();
      if (!bare) return [];
      const first = start + piece.indexOf(bare);
      return [[point(text, first), point(text, first + bare.length), index]];
    });
  }

  offset(index, node, place, outside) {
    const box = this.texts[index];
    if (!box.contains(node)) return outside;
    const before = document.createRange();
    before.setStart(box, 0);
    before.setEnd(node, place);
    return before.toString().length;
  }

  covers(selected) {
    return selected.length > 0 && selected.every(([start, end, at]) =>
      joined(this.spans.filter(span => span[2] === at)).some(span => span[0] <= start && end <= span[1]));
  }

  // The marks with the selection added, or taken out where all of it is marked; null where nothing is selected.
  toggled() {
    const selected = this.selected();
    if (!selected.length) return null;
    if (!this.covers(selected)) {
      const all = [...this.spans, ...selected];
      return this.messages.flatMap((_, index) => joined(all.filter(span => span[2] === index)));
    }
    return this.spans.flatMap(([start, end, at]) => {
      const out = selected.find(one => one[2] === at && one[0] < end && start < one[1]);
      if (!out) return [[start, end, at]];
      return [[start, out[0], at], [out[1], end, at]].map(span => this.trimmed(span)).filter(span => span[0] < span[1]);
    });
  }

  trimmed([start, end, at]) {
    const points = Array.from(this.messages[at].text).slice(start, end), blank = /^\s$/u;
    let from = 0, to = points.length;
    while (from < to && blank.test(points[from])) from++;
    while (from < to && blank.test(points[to - 1])) to--;
    return [start + from, start + to, at];
  }

  select(from, to) {
    const first = this.find(from.message, from.start), last = this.find(to.message, to.end);
    getSelection().setBaseAndExtent(...first, ...last);
    last[0].parentElement.scrollIntoView({ block: "nearest" });
  }

  find(message, place) {
    const walker = document.createTreeWalker(this.texts[message], NodeFilter.SHOW_TEXT);
    let node = walker.nextNode(), left = place;
    while (left > node.length) { left -= node.length; node = walker.nextNode(); }
    return [node, left];
  }

  // Into the prompt, before its first word.
  enter() {
    this.cursor = null;
    this.box.focus();
  }

  click(event) {
    const mark = event.target.closest("mark");
    if (mark && getSelection().isCollapsed) getSelection().selectAllChildren(mark);
  }

  key(event) {
    const step = { ArrowRight: ["word", 1], ArrowLeft: ["word", -1], ArrowDown: ["sentence", 1], ArrowUp: ["sentence", -1] }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.move(...step, event.shiftKey);
  }

  // The selection by whole words: from `cursor.anchor` to `cursor.focus`, both places in the list of words.
  move(kind, step, extends_) {
    this.units ??= numbered(this.messages.flatMap(({ role, text }, message) => role === "user" ? words(text, message) : []));
    if (!this.units.length) return;
    const before = this.cursor, last = this.units.length - 1;
    if (kind === "word") {
      const focus = before ? Math.min(Math.max(before.focus + step, 0), last) : 0;
      this.cursor = { anchor: extends_ && before ? before.anchor : focus, focus };
    } else {
      const [first, end] = this.sentence(before, step);
      if (!extends_ || !before) this.cursor = { anchor: first, focus: end };
      else this.cursor = { anchor: before.anchor, focus: step > 0 ? end : first };
    }
    const { anchor, focus } = this.cursor, ends = [Math.min(anchor, focus), Math.max(anchor, focus)];
    const [from, to] = ends.map(index => this.units[index]);
    this.select(from, kind === "sentence" ? { message: to.message, end: to.sentenceEnd } : to);
  }

  sentence(before, step) {
    const wanted = before ? this.units[before.focus].sentence + step : 0;
    const key = Math.min(Math.max(wanted, 0), this.units.at(-1).sentence);
    const inside = this.units.map((one, index) => one.sentence === key ? index : -1).filter(index => index >= 0);
    return [inside[0], inside.at(-1)];
  }
}

function words(text, message) {
  const split = granularity => [...new Intl.Segmenter("en", { granularity }).segment(text)];
  const sentences = split("sentence").map(({ segment, index }) => index + segment.trimEnd().length);
  let at = 0;
  return split("word").filter(({ isWordLike }) => isWordLike).map(({ segment, index }) => {
    while (at + 1 < sentences.length && sentences[at] <= index) at++;
    return { message, start: index, end: index + segment.length, sentence: `${message} ${at}`, sentenceEnd: sentences[at] };
  });
}

// Sentences by number over all messages; those without a word have none.
function numbered(units) {
  const order = new Map();
  for (const { sentence } of units) if (!order.has(sentence)) order.set(sentence, order.size);
  return units.map(one => ({ ...one, sentence: order.get(one.sentence) }));
}

function joined(spans) {
  const found = [];
  for (const [start, end, at] of spans.toSorted((one, other) => one[0] - other[0])) {
    const last = found.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else found.push([start, end, at]);
  }
  return found;
}

function point(text, unitPlace) {
  return Array.from(text.slice(0, unitPlace)).length;
}

function unit(text, pointPlace) {
  let at = 0;
  for (let count = 0; count < pointPlace; count++) at += text.codePointAt(at) > 0xffff ? 2 : 1;
  return at;
}
