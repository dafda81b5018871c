// The connection: attempts, their ends, and what follows from those; and what is said over it.

import { adviceOf, readReason } from "./advice.js";
import { Backoff } from "./backoff.js";
import { isOffline, watchEnvironment } from "./environment.js";
import { ConnectionLost, RequestError } from "./errors.js";
import { Link } from "./link.js";
import { type Settings, settingsOf, type Options, type TokenReason } from "./options.js";
import { type AskOptions, type Done, Outbox } from "./outbox.js";
import type { State } from "./state.js";
import { Store } from "./store.js";
import { after, type Timer } from "./timer.js";
import { type Found, Tokens } from "./tokens.js";

/** Who uses the connection. */
interface User {
  /** It may be asked for what does no harm if it is done twice; the rest waits for `online`. */
  onOpen_: () => void;
  onFrame_: (frame: unknown) => void;
  /** There is no connection any more, and with a `why` there won't be another. */
  onLost_: (why?: string) => void;
}

/** Where the server has no words for it. */
const REFUSED = "the token was refused";

export class Connection {
  readonly state = new Store<State>({ status: "idle" });
  readonly outbox_: Outbox;
  /** It may be used for what does no harm if it is done twice. */
  isOpen_ = false;
  link_: Link | undefined;
  readonly #url: string | URL;
  readonly #settings: Settings;
  readonly #user: User;
  readonly #tokens: Tokens | undefined;
  readonly #backoff: Backoff;
  #environment: AbortController | undefined;
  /** Raised with each attempt, and with its end: what belongs to an older one is void. */
  #attempt = 0;
  #timer: Timer | undefined;
  /** Until a token is shown anew on this connection. */
  #renewing: Timer | undefined;
  /** Why the next token is asked for. */
  #reason: TokenReason = "connect";
  /** The server has asked to stay away until then. */
  #notBefore = 0;
  /** The last end, since the last message from the server, by which a token was refused. */
  #refusal: Pick<State, "code" | "reason"> | undefined;

  constructor(url: string | URL, options: Options, user: User) {
    this.#url = url;
    this.#user = user;
    this.#settings = settingsOf(options);
    const { token, connectTimeout, queue } = this.#settings;
    this.#tokens = token && new Tokens(token, connectTimeout);
    this.#backoff = this.newBackoff_();
    this.outbox_ = new Outbox(queue);
  }

  connect(): void {
    if (this.isWanted_()) return;
    this.#environment = new AbortController();
    watchEnvironment(
      {
        onHope_: () => {
          this.link_?.probe_();
          const state = this.state.get();
          if (Date.now() >= this.#notBefore) this.retry();
          else if (state.status === "offline" && !isOffline()) {
            this.state.set({ ...state, status: "waiting" });
          }
        },
        onOffline_: () => {
          this.link_?.probe_();
          const state = this.state.get();
          if (state.status === "waiting") this.state.set({ ...state, status: "offline" });
        },
      },
      this.#environment.signal,
    );
    this.#proven();
    this.#start();
  }

  retry(): void {
    const { status } = this.state.get();
    if (status === "waiting" || status === "offline") this.#start();
  }

  close(): void {
    if (this.isWanted_()) this.#finish({ status: "idle" }, 1000);
  }

  async #start(): Promise<void> {
    const attempt = ++this.#attempt;
    clearTimeout(this.#timer);
    this.state.set({ status: "connecting" });
    let found: Found | undefined;
    try {
      found = await this.#tokens?.ask_(this.#reason);
    } catch (error) {
      if (attempt === this.#attempt) this.#wait({ reason: `there is no token now: ${error}` });
      return;
    }
    if (attempt !== this.#attempt) return;
    if (found?.kind_ === "nobody") {
      // Who has no other token after a refusal stays away for that.
      return this.#finish({ status: "ended", reason: "nobody is signed in", ...this.#refusal });
    }
    if (found?.kind_ === "stale") {
      if (this.#wasRefused()) return this.#finish({ status: "ended", ...this.#refusal });
      return this.#wait({ reason: REFUSED });
    }
    try {
      this.#open(found?.token);
    } catch {
      // It would be so the next time, too. What was thrown may have the token in it.
      const reason = "the URL or the token's characters can't be used";
      this.#finish({ status: "ended", reason });
    }
  }

  #open(token: string | undefined): void {
    const { tokenIn, tokenParameter, WebSocket } = this.#settings;
    const url = new URL(this.#url, globalThis.location?.href);
    url.protocol = url.protocol.replace("http", "ws");
    const protocols = [...this.#settings.protocols];
    if (token !== undefined) {
      this.#tokens?.show_(token);
      if (tokenIn === "protocol") protocols.push(`token.${token}`);
      if (tokenIn === "query") url.searchParams.set(tokenParameter, token);
    }
    let hasOpened = false;
    const link = new Link(new WebSocket(url.href, protocols), this.#settings, {
      onOpen_: () => {
        hasOpened = true;
        if (token === undefined || tokenIn !== "message") return this.#greet(false);
        const shown = (error?: Error) => {
          if (link !== this.link_) return;
          if (!error) return this.#greet(true);
          link.end_();
          this.#ended(1006, error.message, true);
        };
        this.ask_("authenticate", { token }, {}, shown, true);
      },
      onFrame_: (frame) => {
        // Not when it opens: something on the way may end each connection right after that.
        this.#proven();
        if (this.isOpen_ && !this.isOnline_()) this.#online();
        // Somebody who heard of that may have closed it.
        if (link === this.link_) this.#user.onFrame_(frame);
      },
      onEnd_: (code, reason) => this.#ended(code, reason, hasOpened),
    });
    this.link_ = link;
  }

  #proven(): void {
    this.#backoff.reset_();
    this.#reason = "connect";
    this.#refusal = undefined;
  }

  /**
   * Says something to which there is an answer. An open connection may be one that the server ends at
   * once, since the token isn't right, and throws away what was sent. So it counts from the first
   * message of the server on, and what mustn't be lost waits until then.
   */
  #greet(isAccepted: boolean): void {
    const { link_: link, outbox_: outbox } = this;
    this.isOpen_ = true;
    const isHeard = outbox.size;
    this.#user.onOpen_();
    // Without a ping there may be nothing to which there is an answer.
    if (isAccepted || !this.#settings.ping) this.#online();
    else if (outbox.size === isHeard) link?.probe_();
  }

  #online(): void {
    // Before anybody hears of it, and sends more: what has waited longer is first.
    this.outbox_.flush_((frame) => this.link_?.send_(frame));
    this.state.set({ status: "online" });
  }

  /** Shows a fresh token on this connection, until that has worked or the server closes it. */
  async renew_(reason: TokenReason, backoff = this.newBackoff_()): Promise<void> {
    const link = this.link_;
    clearTimeout(this.#renewing);
    const again = (reason: TokenReason, least = 0) => {
      // What is lost with its connection isn't tried again on another one.
      if (link !== this.link_) return;
      clearTimeout(this.#renewing);
      this.#renewing = after(least + backoff.next_(), () => this.renew_(reason, backoff));
    };
    let found: Found | undefined;
    try {
      found = await this.#tokens?.ask_(reason);
    } catch {
      return again(reason);
    }
    // Who has nothing to show is closed in a while, and asked once more then.
    if (found?.kind_ !== "token" || link !== this.link_ || !this.isOnline_()) return;
    const { token } = found;
    this.ask_("authenticate", { token }, {}, (error) => {
      if (!error) {
        this.#tokens?.show_(token);
      } else if (!(error instanceof RequestError)) {
        again(reason);
      } else if (error.code === "expired") {
        this.#tokens?.refuse_(token);
        again("expired");
      } else if (error.temporary) {
        again(reason, error.retryAfter);
      }
    });
  }

  #ended(code: number, text: string, hasOpened: boolean): void {
    const { reason, slot_: slot } = readReason(text);
    const advice = adviceOf(code);
    const isRefused = advice === "refused" && (!this.#tokens || this.#wasRefused());
    if (advice === "away" || isRefused) return this.#finish({ status: "ended", code, reason });
    if (advice === "later") this.#backoff.slow_();
    this.#reason = hasOpened ? "connect" : "unreachable";
    if (advice === "expired" || advice === "refused") {
      this.#tokens?.refuse_();
      this.#reason = advice;
      this.#refusal = { code, reason: reason || REFUSED };
    }
    this.#wait({ code, reason }, slot, advice === "later" || slot !== undefined);
  }

  /** For more than its age: then one other token is asked for, and no third one. */
  #wasRefused(): boolean {
    return this.#refusal?.code === 3500;
  }

  /** With a slot no sooner than that; and where it is asked to, no sooner for whatever hope. */
  #wait(why: { code?: number; reason: string }, slot = 0, isAsked = false): void {
    const wait = Math.max(slot, this.#backoff.next_());
    const retryAt = Date.now() + wait;
    this.#notBefore = isAsked ? retryAt : 0;
    const status = isOffline() ? "offline" : "waiting";
    this.#lose({ status, retryAt, ...why }, after(wait, () => this.#start()));
  }

  #finish(state: State, code?: number): void {
    this.#environment?.abort();
    this.#tokens?.drop_();
    const link = this.link_;
    this.#lose(state);
    if (code) link?.end_(code);
  }

  /** There is no connection any more. Without a timer there won't be another. */
  #lose(state: State, timer?: Timer): void {
    const attempt = ++this.#attempt;
    clearTimeout(this.#timer);
    clearTimeout(this.#renewing);
    this.#timer = timer;
    this.link_ = undefined;
    this.isOpen_ = false;
    // First the state, so that nobody who hears of a loss takes this for a connection.
    this.state.set(state);
    // Who hears that it has ended may have connected anew: then what waits goes on waiting.
    const why = !timer && attempt === this.#attempt ? this.why_() : undefined;
    this.outbox_.lose_(why);
    this.#user.onLost_(why);
  }

  request(route: string, data: unknown, options: AskOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!this.isWanted_()) throw new ConnectionLost(this.why_());
      if (this.isStuck_()) throw new ConnectionLost("the server doesn't read");
      this.ask_(route, data, options, (error, reply) => {
        // The reason of a signal may be anything.
        if (error === undefined) resolve(reply);
        else reject(error);
      });
    });
  }

  /** What is asked directly doesn't wait until it is online. */
  ask_(route: string, data: unknown, options: AskOptions, done: Done, isDirect = false): void {
    const bounded = { ...options, timeout: options.timeout ?? this.#settings.timeout };
    this.outbox_.ask_(route, data, bounded, this.#sender(isDirect), () => this.link_?.probe_(), done);
  }

  post_(route: string, data: unknown): boolean {
    if (!this.isWanted_() || this.isStuck_()) return false;
    return this.outbox_.post_(route, data, this.#settings.timeout, this.#sender());
  }

  /** What sends now, if that can be. */
  #sender(isDirect = false): ((frame: string) => void) | undefined {
    const { link_: link } = this;
    return link && (isDirect || this.isOnline_()) ? (frame) => link.send_(frame) : undefined;
  }

  /** As much as may waits in the socket already. (Where nobody knows, nothing does.) */
  isStuck_(): boolean {
    return this.link_?.buffered_()! > this.#settings.maxBuffered;
  }

  /** Why nothing is sent, and nothing waits to be, where no connection is wanted. */
  why_(): string {
    const { status, code, reason } = this.state.get();
    if (status === "idle") return "the client isn't connected";
    return `the client has ended: ${[code, reason].join(" ").trim()}`;
  }

  isOnline_(): boolean {
    return this.state.get().status === "online";
  }

  isWanted_(): boolean {
    const { status } = this.state.get();
    return status !== "idle" && status !== "ended";
  }

  newBackoff_(): Backoff {
    const { first, most } = this.#settings.backoff;
    return new Backoff(first, most);
  }
}
