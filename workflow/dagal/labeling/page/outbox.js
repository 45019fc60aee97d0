// Answers on their way: each one is kept in the browser until the server has it on the disk.

const RETRY_MILLISECONDS = 1500;
const BATCH = 50;

class Outbox {
  /**
   * `place` is how the names of what is kept begin. `send` gives answers to the server: it resolves to null, or to the sentence
   * by which they are refused, and rejects if they must be sent again. Without it all are kept.
   */
  constructor(place, send, changed, refused) {
    Object.assign(this, { place, send, changed, refused, failure: "", busy: false, size: BATCH });
    const names = Object.keys(localStorage).filter((name) => name.startsWith(place));
    const kept = names.map((name) => [name, JSON.parse(localStorage.getItem(name))]);
    kept.sort(([, a], [, b]) => (a.at < b.at ? -1 : 1)); // of two answers about an image the last one that is sent counts
    this.held = new Map(kept);
  }

  put(answers) {
    for (const answer of answers) {
      const name = `${this.place}${answer.at} ${answer.id}`;
      this.held.set(name, answer);
      try {
        localStorage.setItem(name, JSON.stringify(answer));
      } catch (error) {
        this.failure = "The browser keeps no more answers: save them now.";
      }
    }
    this.changed();
    this.flush();
  }

  async flush() {
    if (!this.send || this.busy) return;
    this.busy = true;
    clearTimeout(this.timer);
    try {
      while (this.held.size) {
        const batch = [...this.held].slice(0, this.size);
        const refusal = await this.send(batch.map(([, answer]) => answer));
        this.failure = "";
        if (refusal && batch.length > 1) {
          this.size = 1; // to find out which one it is
          continue;
        }
        this.size = BATCH;
        for (const [name, answer] of batch) {
          this.held.delete(name);
          localStorage.removeItem(name);
          if (refusal) this.refused(answer, refusal);
        }
        this.changed();
      }
    } catch (error) {
      this.failure = error.message;
      this.timer = setTimeout(() => this.flush(), RETRY_MILLISECONDS);
      this.changed();
    } finally {
      this.busy = false;
    }
  }
}
