// Asks the server, and finds out whether it is still there.

const AGAIN = [1000, 2000, 4000]; // milliseconds
const IDLE = 10000;

export class Gone extends Error {}

// What the server said no to: `body` is its answer.
export class Refused extends Error {
  constructor(body, status) {
    super(body.error ?? `the server answered ${status}`);
    this.body = body;
  }
}

export class Server {
  // `tell` is called with why the server does not answer, and with "" once it does.
  constructor(tell) {
    this.tell = tell;
    this.returning = null;
    setInterval(() => { if (!document.hidden && !this.returning) this.ask("alive").catch(() => {}); }, IDLE);
  }

  async ask(what, { query = {}, body, signal } = {}) {
    const headers = body ? { "Content-Type": "application/octet-stream" } : {};
    let response;
    try {
      response = await fetch(`/api/${what}?${new URLSearchParams(query)}`, { method: body ? "POST" : "GET", headers, body, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw this.gone("The server does not answer. What is shown stays, and the rest goes on once it is back.");
    }
    if (response.status === 401) throw this.gone("The server was started again and asks for its new token: open the address that it printed in another tab, and this page goes on.");
    if (!response.ok) throw new Refused(await response.json().catch(() => ({})), response.status);
    return response;
  }

  gone(why) {
    this.tell(why);
    this.returning ??= this.wait();
    return new Gone("the server does not answer");
  }

  // Resolved once the server is there again.
  async back() {
    await this.returning;
  }

  async wait() {
    for (let turn = 0; ; turn++) {
      await new Promise(resolve => setTimeout(resolve, AGAIN[Math.min(turn, AGAIN.length - 1)]));
      const answer = await fetch("/api/alive").catch(() => null);
      if (answer?.ok) break;
    }
    this.returning = null;
    this.tell("");
  }
}
