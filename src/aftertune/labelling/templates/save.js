// Actions go to the server one after the other. One that did not arrive is kept and sent again until it has.
const AGAIN_MS = 2000;

export class Outbox {
  // `tell(state, problem)`: state is "saved", "saving" or "waiting"; problem is a sentence, or "". `hear(answer)` is
  // called with what the server says, before the next action is sent.
  constructor(tell, hear) {
    Object.assign(this, { tell, hear });
    this.waiting = [];
    this.busy = false;
    addEventListener("beforeunload", event => { if (this.waiting.length) event.preventDefault(); });
  }

  // The server's answer, or null where it refused; `body` is called when its turn comes, and null then means: not needed.
  send(path, body) {
    return new Promise(done => {
      this.waiting.push({ path, body, done });
      this.work();
    });
  }

  async work() {
    if (this.busy) return;
    this.busy = true;
    let refused = "";
    while (this.waiting.length) {
      const { path, body, done } = this.waiting[0], wanted = body();
      this.tell("saving", refused);
      const answer = wanted === null ? { status: 200, json: null } : await post(path, wanted);
      if (answer.status === 200 || answer.status === 400) {
        refused = answer.status === 400 ? `Not saved: ${answer.json?.error ?? "the server refused it"}` : "";
        this.waiting.shift();
        if (answer.status === 200 && answer.json) this.hear(answer.json);
        done(answer.status === 200 ? answer.json : null);
        continue;
      }
      this.tell("waiting", this.explain(answer));
      await new Promise(later => setTimeout(later, AGAIN_MS));
    }
    this.busy = false;
    this.tell("saved", refused);
  }

  explain(answer) {
    const kept = `${this.waiting.length} ${this.waiting.length === 1 ? "action is" : "actions are"} kept in this page and sent again every two seconds. Leave it open.`;
    if (answer.status === 0) return `Not saved: the server does not answer. Is aftertune label still running? ${kept}`;
    if (answer.status === 403) return `Not saved: the server was started anew. Open the address that it printed last and give the last ${this.waiting.length} again; this page can't reach it.`;
    return `Not saved: ${answer.json?.error ?? `the server answers ${answer.status}.`} ${kept}`;
  }
}

async function post(path, body) {
  try {
    const found = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    return { status: found.status, json: await found.json().catch(() => null) };
  } catch {
    return { status: 0, json: null };
  }
}
