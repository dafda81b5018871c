// One WebSocket, from the attempt to its end, and whether it is still alive: a page sees no ping
// frames, and is told nothing of a network that is gone.

import { isHidden } from "./environment.js";
import type { Settings, Socket } from "./options.js";
import { after, patiently, type Timer } from "./timer.js";

/** A clock that has jumped by more than this was asleep, and the machine with it. */
const ASLEEP_MS = 10_000;
const TICK_MS = 2_000;

/** The id of pings, which no request has. */
export const PING_ID = 0;
/** The code of an end that no close frame has told of. */
const ABNORMAL = 1006;
/** A browser keeps from its page whether a status has refused it, or nobody was there. */
const UNOPENED = "the connection can't be opened (in a browser: see Network in the developer tools)";

interface Events {
  onOpen_: () => void;
  onFrame_: (frame: unknown) => void;
  /** Once, and nothing after it. Not after `end`. */
  onEnd_: (code: number, reason: string) => void;
}

export class Link {
  readonly #socket: Socket;
  readonly #ping: Settings["ping"];
  readonly #onEnd: Events["onEnd_"];
  #opening: Timer | undefined;
  #ticking: ReturnType<typeof setInterval> | undefined;
  #probing: Timer | undefined;
  #heardAt = 0;
  /** How many bytes would wait if the network had taken none since the ping, where some did then. */
  #untaken = 0;
  #isOpen = false;

  constructor(socket: Socket, { ping, connectTimeout }: Settings, { onOpen_: onOpen, onFrame_: onFrame, onEnd_: onEnd }: Events) {
    this.#socket = socket;
    this.#ping = ping;
    this.#onEnd = onEnd;
    const late = () => this.#fail("the connection didn't open in time");
    patiently(connectTimeout, late, (timer) => (this.#opening = timer));
    socket.onopen = () => {
      clearTimeout(this.#opening);
      this.#isOpen = true;
      this.#watch();
      onOpen();
    };
    socket.onmessage = ({ data }: { data: unknown }) => {
      this.#heard();
      onFrame(data);
    };
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      const bare = this.#isOpen ? "the connection ended without a close frame" : UNOPENED;
      this.#forget();
      // Where nobody has said a code, Deno says 0.
      const isSaid = code && code !== ABNORMAL;
      onEnd(code || ABNORMAL, reason || (isSaid ? "" : bare));
    };
    // A close follows at once, but not where Node.js couldn't open its own WebSocket. (And where
    // nobody listens, `ws` throws it.)
    socket.onerror = () => {
      if (this.#isOpen) return;
      clearTimeout(this.#opening);
      this.#opening = after(0, () => this.#fail(UNOPENED));
    };
  }

  /** It may be given to a socket that is closing: then it is lost, and the end comes soon. */
  send_(frame: string): void {
    const before = this.buffered_()!;
    try {
      if (this.#isOpen) this.#socket.send(frame);
    } catch {
      // Outside of browsers one that is closing may throw: the same.
    }
    this.#untaken += this.buffered_()! - before;
  }

  /** How many bytes wait for the network to take them. */
  buffered_(): number | undefined {
    return this.#socket.bufferedAmount;
  }

  /** Ends it. Nothing is heard of it any more. */
  end_(code?: number): void {
    this.#forget();
    if (!code && this.#socket.terminate) this.#socket.terminate();
    else this.#socket.close(code);
  }

  /** Asks whether the server is there, and ends it without an answer in time. */
  probe_(isAgain = false): void {
    // Without a ping it can't be found out.
    if (!this.#isOpen || this.#probing || !this.#ping) return;
    const { route, timeout } = this.#ping;
    // Where nothing waits, it says nothing that the network takes more.
    this.#untaken = this.buffered_() || NaN;
    this.send_(JSON.stringify({ id: PING_ID, route }));
    const askedAt = Date.now();
    const judge = () => {
      this.#probing = undefined;
      // Who takes what was said before the ping is there. And the answer may have come while this
      // machine slept, and wait behind this. Once: a hidden page's timers are late each time.
      const hasSlept = !isAgain && Date.now() - askedAt - timeout > ASLEEP_MS;
      if (this.buffered_()! < this.#untaken || hasSlept) this.probe_(true);
      else this.#fail("the server doesn't answer");
    };
    patiently(timeout, judge, (timer) => (this.#probing = timer));
  }

  #watch(): void {
    const every = this.#ping ? this.#ping.every : Infinity;
    const tick = Math.min(TICK_MS, every);
    this.#heardAt = Date.now();
    let tickedAt = this.#heardAt;
    this.#ticking = setInterval(() => {
      const now = Date.now();
      // A hidden page's timers are late as well, while its connection is fine: so it asks first.
      // Who sets the clock back has jumped as well.
      const hasSlept = now < tickedAt || now - tickedAt - tick > ASLEEP_MS;
      if (hasSlept && !this.#ping && !isHidden()) return this.#fail("this machine was asleep");
      tickedAt = now;
      if (hasSlept || now - this.#heardAt >= every) this.probe_();
    }, tick);
  }

  #heard(): void {
    this.#heardAt = Date.now();
    clearTimeout(this.#probing);
    this.#probing = undefined;
  }

  #fail(reason: string): void {
    this.end_();
    this.#onEnd(ABNORMAL, reason);
  }

  #forget(): void {
    this.#isOpen = false;
    clearTimeout(this.#opening);
    clearTimeout(this.#probing);
    clearInterval(this.#ticking);
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => {};
  }
}
