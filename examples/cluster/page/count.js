// Whether this tab has all that the nodes have counted. A node that is started anew is another
// process, and counts from 0.

export class Count {
  heard = 0;
  lost = 0;
  twice = 0;
  /** The last count of each process. */
  #last = new Map();

  take({ node, process, count }) {
    const key = `${node} ${process}`;
    const last = this.#last.get(key);
    this.heard += 1;
    if (last === undefined) {
      // Where this tab has come in; what it came back for begins with what it knows.
      this.#last.set(key, count);
    } else if (count > last) {
      this.lost += count - last - 1;
      this.#last.set(key, count);
    } else {
      this.twice += 1;
    }
  }

  /** What was missed can't be had any more: what comes next is another beginning. */
  begin() {
    this.#last.clear();
  }
}
