// One room: joining it, being in it again after each connection, and its messages in order, each
// once. What was missed is asked for by the position in the room's history; where it can't be had,
// that is said.

import type { Backoff } from "./backoff.js";
import { opened, packed } from "./bytes.js";
import type { Connection } from "./connection.js";
import { ConnectionLost, RequestError, Timeout } from "./errors.js";
import { guarded, Listeners } from "./listeners.js";
import type { AskOptions, Done } from "./outbox.js";
import type { Rooms } from "./rooms.js";
import type { AnyRoutes, Message, Name, Of, RoutesOf } from "./routes.js";
import { type Readable, Store } from "./store.js";
import { after, type Timer } from "./timer.js";

/** A place in the history of a room. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/**
 * - `left`: nobody wants to be in it;
 * - `joining`: it will be joined as soon as that can be; `error` says why it wasn't yet;
 * - `joined`: a member;
 * - `refused`: the server doesn't let this client in; `error` says why;
 * - `removed`: the server has removed this client from it.
 */
export interface RoomState {
  readonly status: "left" | "joining" | "joined" | "refused" | "removed";
  readonly error?: Error;
}

/** What happens to a room, and what is known of it then. */
export interface RoomEvents {
  /** A member for the first time: there is nothing to compare with. */
  joined: undefined;
  /** Back again, and all that was missed has come: so many messages. */
  recovered: { missed: number };
  /** Back again, but what was missed can't be had: load afresh what you show. */
  lost: undefined;
  /** No longer a member, by the server's will. */
  removed: undefined;
}

const EVENTS: readonly (keyof RoomEvents)[] = ["joined", "recovered", "lost", "removed"];

/** Somebody in a room. */
export interface Member {
  id: string;
  tenant?: string;
  version: number;
}

/** @internal What a room needs of its client. */
export interface Host {
  readonly registry_: Rooms;
  readonly connection_: Connection;
  /** A message that is new to its room. */
  deliver_(message: Message): void;
}

interface Entered {
  position?: Position;
  recovered?: boolean;
  missed?: Message[];
}

/** Whether the same may go well in a while. */
const isPassing = (error: Error) =>
  error instanceof Timeout || (error instanceof RequestError && error.temporary);

/** From {@link Client.room}. */
export class Room<R extends RoutesOf<R> = AnyRoutes> {
  readonly name: string;
  readonly #host: Host;
  readonly #state = new Store<RoomState>({ status: "left" });
  readonly #routes = new Listeners();
  readonly #events = new Listeners();
  readonly #backoff: Backoff;
  #position: Position | undefined;
  #isWanted = false;
  /** It was a member once: who comes back without a position has lost something. */
  #wasMember = false;
  #isAsking = false;
  /** It has to be asked once more: something was missed while it was asked. */
  #again = false;
  /** The highest offset that was dropped since something before it is missing. */
  #ahead = 0;
  #users = 0;
  #waiters: ((error?: Error) => void)[] = [];
  /** Until it asks anew for what has failed. */
  #timer: Timer | undefined;
  /** Raised when it is out: an answer that was asked for before is void. */
  #stay = 0;
  /** It has left, and the server has yet to say that it knows. */
  #isLeaving = false;

  /** @internal */
  constructor(name: string, host: Host) {
    this.name = name;
    this.#host = host;
    this.#backoff = host.connection_.newBackoff_();
  }

  /** Whether this client is in the room: a store. */
  get state(): Readable<RoomState> {
    return this.#state;
  }

  /** The last message that has come, for `join({ position })` after a reload. */
  get position(): Position | undefined {
    return this.#position;
  }

  /**
   * Joins the room, and joins it again after each connection, until `leave()`. With a `position`
   * from before it recovers what was missed since. Resolves when it is a member; that may wait for a
   * connection, or for `connect()`. Rejects with a `RequestError` where the server doesn't let it in, with
   * `ConnectionLost`, which says why, where the client is closed or ends, and with a `TypeError` where
   * there is a `position` and the room is wanted already, from where it is.
   */
  async join({ position }: { position?: Position | undefined } = {}): Promise<void> {
    if (position && this.#isWanted) {
      throw new TypeError("expected a position before the room is joined");
    }
    this.#position ??= position;
    if (this.#state.get().status === "joined") return;
    const joined = new Promise<void>((resolve, reject) => {
      this.#waiters.push((error) => (error ? reject(error) : resolve()));
    });
    if (!this.#isWanted) {
      this.#isWanted = true;
      this.#isLeaving = false;
      this.#host.registry_.keep_(this);
      this.#state.set({ status: "joining" });
      this.enter_();
    }
    // Who waits for a client that stays away waits in vain; one that isn't connected yet may be.
    const connection = this.#host.connection_;
    if (connection.state.get().status === "ended") this.over_(connection.why_());
    return joined;
  }

  /**
   * Leaves the room, and forgets its position. Resolves when the server knows, or needn't; and when
   * it is too busy, and is told again until it does.
   */
  async leave(): Promise<void> {
    if (!this.#isWanted) return;
    this.#out({ status: "left" }, new ConnectionLost("the room was left"));
    // A session that has ended has left all its rooms.
    if (!this.#host.connection_.isOpen_) return;
    this.#isLeaving = true;
    await new Promise<void>((resolve, reject) => this.#goOut(resolve, reject));
  }

  #goOut(resolve = () => {}, reject: (error: Error) => void = () => {}): void {
    this.#ask("leave", {}, (error) => {
      if (!this.#isLeaving || !error) {
        this.#isLeaving = false;
      } else if (isPassing(error)) {
        this.#timer = after(this.#wait(error), () => this.#goOut());
      } else if (error instanceof RequestError) {
        this.#isLeaving = false;
        return reject(error);
      }
      resolve();
    });
  }

  /**
   * Joins with the first user, and leaves a moment after the last: for parts of a page that share a
   * room.
   */
  use(): () => void {
    this.#users += 1;
    // Why it isn't a member is in `state`.
    if (this.#users === 1) this.join().catch(() => {});
    let isUsed = true;
    return () => {
      if (!isUsed) return;
      isUsed = false;
      this.#users -= 1;
      // A component that is replaced by another one of its kind gives it up and takes it at once.
      after(0, () => this.#users === 0 && this.leave().catch(() => {}));
    };
  }

  /** Hears the messages that were sent to this room, in order and each once. Returns what ends it. */
  on<K extends Name<R, "event">>(
    route: K,
    listener: (data: Of<R, K, "event">, message: Message<Of<R, K, "event">>) => unknown,
  ): () => void {
    this.#host.registry_.keep_(this);
    return this.#routes.add(route, listener);
  }

  /** Hears what happens to this room. Returns what ends it. Throws a `TypeError` at any other name. */
  when<E extends keyof RoomEvents>(
    event: E,
    listener: (data: RoomEvents[E]) => unknown,
  ): () => void {
    if (!EVENTS.includes(event)) {
      throw new TypeError(`expected one of ${EVENTS.join(", ")}; got ${event}`);
    }
    this.#host.registry_.keep_(this);
    return this.#events.add(event, listener);
  }

  /**
   * Sends to all members, where the room's rule lets members publish. With a `key` it may be repeated
   * in a room with a history: the same key of the same identity is taken once.
   */
  async publish(data: unknown, { key, ...options }: AskOptions & { key?: string } = {}): Promise<void> {
    await this.#host.connection_.request("publish", { room: this.name, ...packed(data), key }, options);
  }

  /** Who is there, where the room's rule says so: a page of up to `limit`, after a version. */
  async members({
    after,
    limit,
    ...options
  }: AskOptions & { after?: number; limit?: number } = {}): Promise<{
    members: Member[];
    count: number;
    after?: number;
  }> {
    const data = { room: this.name, after, limit };
    return (await this.#host.connection_.request("members", data, options)) as Awaited<
      ReturnType<Room["members"]>
    >;
  }

  /** @internal Asks to be let in, or for what was missed, if that makes sense now. */
  enter_(): void {
    if (!this.#isWanted || !this.#host.connection_.isOpen_) return;
    this.#again = this.#isAsking;
    if (this.#isAsking || !this.#host.registry_.mayEnter_(this)) return;
    this.#isAsking = true;
    this.#halt();
    const [from, stay] = [this.#position, this.#stay];
    this.#ask(from ? "recover" : "join", from, (error, data) => {
      this.#isAsking = false;
      this.#host.registry_.entered_();
      if (!this.#isWanted) return;
      if (stay !== this.#stay) this.enter_();
      else if (error) this.#failed(error);
      else this.#entered(from, (data ?? {}) as Entered);
    });
  }

  /** Asks at once. */
  #ask(route: string, data: object | undefined, done: Done): void {
    this.#host.connection_.ask_(route, { room: this.name, ...data }, {}, done, true);
  }

  /** @internal A message that says that it is for this room. */
  receive_(message: Message): void {
    // On its way when it left.
    if (this.#isLeaving) return;
    const { offset } = message;
    if (offset !== undefined && this.#position) {
      const { epoch, offset: last } = this.#position;
      if (offset <= last) return;
      if (offset > last + 1) {
        this.#ahead = Math.max(this.#ahead, offset);
        // Where that has failed just now, it has its time.
        if (!this.#isAsking && !this.#timer) this.enter_();
        return;
      }
      this.#position = { epoch, offset };
    }
    this.#deliver(message);
  }

  /** @internal The server has dropped messages: where it is in this room by now. */
  gap_(at: Position | undefined): void {
    if (!this.#isWanted) return;
    const last = this.#position;
    if (!last) {
      if (this.#state.get().status === "joined") this.#events.emit_("lost");
    } else if (!at || at.epoch !== last.epoch || at.offset > last.offset) {
      if (!this.#timer) this.enter_();
    }
  }

  /** @internal */
  removed_(): void {
    this.#out({ status: "removed" }, new RequestError({ code: "removed" }));
    this.#events.emit_("removed");
  }

  /** @internal */
  disconnected_(): void {
    this.#halt();
    this.#isLeaving = false;
    if (this.#isWanted) this.#state.set({ status: "joining" });
  }

  /** @internal There will be no connection. What is wanted stays so, for the next one. */
  over_(why: string): void {
    this.disconnected_();
    this.#settle(new ConnectionLost(why));
  }

  /** @internal Nobody would notice if it were another object. */
  isUnused_(): boolean {
    const isHeard = this.#routes.size + this.#events.size > 0 || this.#state.isWatched_();
    return !this.#isWanted && !this.#isLeaving && this.#users === 0 && !isHeard;
  }

  #entered(from: Position | undefined, { position, recovered, missed = [] }: Entered): void {
    const before = this.#position;
    const isNew = (offset = Infinity) => !recovered || offset > (before?.offset ?? 0);
    const news: Message[] = [];
    // One that can't be read is no reason to lose the others.
    for (const message of missed) guarded(() => isNew(message.offset) && news.push(opened(message)));
    const isFirst = !this.#wasMember && !from;
    this.#wasMember = true;
    // What has come meanwhile comes again behind the answer.
    const isAhead = recovered && before && position && before.offset > position.offset;
    this.#position = isAhead ? before : position;
    this.#backoff.reset_();
    this.#state.set({ status: "joined" });
    for (const message of news) this.#deliver(message);
    if (recovered) this.#events.emit_("recovered", { missed: news.length });
    else this.#events.emit_(isFirst ? "joined" : "lost");
    this.#settle();
    const isBehind = this.#position && this.#ahead > this.#position.offset;
    this.#ahead = 0;
    if (this.#again || isBehind) this.enter_();
  }

  #failed(error: Error): void {
    // The next connection brings it here again.
    if (error instanceof ConnectionLost) return;
    if (!isPassing(error)) {
      this.#out({ status: "refused", error }, error);
      return;
    }
    this.#state.set({ status: "joining", error });
    this.#timer = after(this.#wait(error), () => this.enter_());
  }

  /** How long, before the same is tried again: not all at once who were refused at once. */
  #wait(error: Error): number {
    return ((error as Partial<RequestError>).retryAfter ?? 0) + this.#backoff.next_();
  }

  #halt(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #out(state: RoomState, error: Error): void {
    this.#halt();
    this.#stay += 1;
    this.#isWanted = this.#wasMember = this.#again = false;
    this.#position = undefined;
    this.#ahead = 0;
    this.#state.set(state);
    this.#settle(error);
  }

  #settle(error?: Error): void {
    for (const tell of this.#waiters.splice(0)) tell(error);
  }

  #deliver(message: Message): void {
    this.#routes.emit_(message.route, message.data, message);
    this.#host.deliver_(message);
  }
}
