// What a page under way does beside its work: it tells how long it will take, keeps the screen on, and asks before it is left.

const TELL_FROM = 3000; // milliseconds of work, before which nothing tells how long it will take

const several = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

const duration = seconds => seconds < 90 ? several(Math.max(1, Math.ceil(seconds / 5) * 5), "second") : several(Math.round(seconds / 60), "minute");

export class Work {
  constructor() {
    this.active = false;
    this.lock = null;
    addEventListener("beforeunload", event => { if (this.active) event.preventDefault(); });
    document.addEventListener("visibilitychange", () => this.keepScreenOn()); // a hidden page loses its lock
  }

  // Told whenever anything changes: whether there is work, and how many photos are over.
  note(active, over) {
    if (active === this.active) return;
    this.active = active;
    [this.began, this.before] = [Date.now(), over];
    this.keepScreenOn();
  }

  // How long so many photos will take; empty while it cannot be told.
  left(waiting, over) {
    const spent = Date.now() - this.began, done = over - this.before;
    return done > 0 && spent > TELL_FROM ? `about ${duration(spent / done * waiting / 1000)} left` : "";
  }

  // Browsers allow it to secure pages alone, and may refuse it: the work goes on without.
  async keepScreenOn() {
    if (!this.active) {
      await this.lock?.then(lock => lock?.release());
      this.lock = null;
    } else if (!document.hidden) {
      this.lock = navigator.wakeLock?.request("screen").catch(() => null) ?? null;
    }
  }
}
