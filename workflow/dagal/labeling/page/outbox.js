// Answers on their way: each one is kept in the browser until the server has it on the disk.

const RETRY_MILLISECONDS = 1500;
const BATCH = 50;

/** What the browser keeps on its disk. Not in localStorage, which Chromium writes seconds later: a kill would lose the last answers. */
class Kept {
  static async open(place) {
    const kept = new Kept(), opening = indexedDB.open("dagal", 1);
    kept.place = place;
    opening.onupgradeneeded = () => opening.result.createObjectStore("answers");
    kept.database = await finished(opening);
    return kept;
  }

  /** [name, answer] of all, in the order in which they were given. */
  async all() {
    const store = this.database.transaction("answers").objectStore("answers");
    const range = IDBKeyRange.bound(this.place, `${this.place}\uffff`);
    const [names, answers] = await Promise.all([finished(store.getAllKeys(range)), finished(store.getAll(range))]);
    return names.map((name, place) => [name, answers[place]]).sort(([, a], [, b]) => (a.at < b.at ? -1 : 1));
  }

  /** Resolves when the change is on the disk. */
  change(act) {
    return new Promise((resolve, reject) => {
      const transaction = this.database.transaction("answers", "readwrite", { durability: "strict" });
      transaction.oncomplete = resolve;
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
      act(transaction.objectStore("answers"));
      transaction.commit(); // at once: of a page that is left, only what is committed is kept
    });
  }
}

function finished(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

class Outbox {
  /**
   * `kept` is a Kept and `earlier` all that is in it. `send` gives answers to the server: it resolves to null, or to the sentence
   * by which they are refused, and rejects if they must be sent again. Without it all are kept.
   */
  constructor(kept, earlier, send, changed, refused) {
    Object.assign(this, { kept, send, changed, refused, failure: "", busy: false, size: BATCH });
    this.held = new Map(earlier); // in this order they are sent: of two answers about an image the last one counts
  }

  put(answers) {
    const named = answers.map((answer) => [`${this.kept.place}${answer.at} ${answer.id}`, answer]);
    for (const [name, answer] of named) this.held.set(name, answer);
    this.kept.change((store) => named.forEach(([name, answer]) => store.put(answer, name))).catch(() => {
      this.failure = "the browser has no room to keep answers";
      this.changed();
    });
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
        await this.kept.change((store) => batch.forEach(([name]) => store.delete(name)));
        for (const [name, answer] of batch) {
          this.held.delete(name);
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
