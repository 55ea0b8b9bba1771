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

  // `sent` is told now and then how many bytes of the body are sent, and after how many seconds.
  async ask(what, { query = {}, body, signal, sent } = {}) {
    let response;
    try {
      response = await request(`/api/${what}?${new URLSearchParams(query)}`, body, signal, sent);
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

async function request(address, body, signal, sent) {
  const headers = { "Content-Type": "application/octet-stream" };
  if (!body) return fetch(address, { signal });
  if (!sent) return fetch(address, { method: "POST", headers, body, signal });
  signal.throwIfAborted();
  return new Promise((resolve, reject) => { // fetch does not tell what it has sent
    const asked = new XMLHttpRequest(), began = Date.now();
    asked.open("POST", address);
    asked.setRequestHeader("Content-Type", headers["Content-Type"]);
    asked.responseType = "blob";
    asked.upload.onprogress = ({ loaded }) => sent(loaded, (Date.now() - began) / 1000);
    asked.onload = () => resolve(new Response(asked.response, { status: asked.status }));
    asked.onerror = () => reject(new TypeError("the request failed"));
    asked.onabort = () => reject(new DOMException("", "AbortError"));
    signal.addEventListener("abort", () => asked.abort(), { once: true });
    asked.send(body);
  });
}
