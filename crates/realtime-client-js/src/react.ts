// Hooks for React, on nothing but the stores and rooms of the core.

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { Client } from "./client.js";
import type { AskOptions } from "./outbox.js";
import type { Room, RoomState } from "./room.js";
import type { Asks, Message, Name, Of, RoutesOf } from "./routes.js";
import type { State } from "./state.js";
import type { Readable } from "./store.js";

/** The value of a store of this package. */
export function useStore<T>({ subscribe, get }: Readable<T>): T {
  return useSyncExternalStore(subscribe, get, get);
}

/** How it is with the connection. */
export function useConnection<R extends RoutesOf<R>>(client: Client<R>): State {
  return useStore(client.state);
}

/** Functions by the routes that they hear. */
export type RoomListeners<R extends RoutesOf<R>> = {
  [K in Name<R, "event">]?: (data: Of<R, K, "event">, message: Message<Of<R, K, "event">>) => unknown;
};

/**
 * Is in a room as long as a component that wants it is there; several may share one. `onFresh` is
 * called when what is shown has to be loaded: when the room was joined first, and when something was
 * missed that can't be had any more. The functions of the last rendering are called; which routes
 * are heard is that of the first.
 */
export function useRoom<R extends RoutesOf<R>>(
  client: Client<R>,
  name: string,
  listeners: RoomListeners<R> = {},
  onFresh?: (room: Room<R>) => unknown,
): { room: Room<R>; state: RoomState } {
  const room = client.room(name);
  const latest = useRef({ listeners, onFresh });
  useEffect(() => {
    latest.current = { listeners, onFresh };
  });
  useEffect(() => {
    const fresh = () => latest.current.onFresh?.(room);
    const ends = [room.when("joined", fresh), room.when("lost", fresh)];
    for (const route of Object.keys(latest.current.listeners) as Name<R, "event">[]) {
      ends.push(room.on(route, (...heard) => latest.current.listeners[route]?.(...heard)));
    }
    // Somebody else may have joined it already: then there is nothing to wait for.
    if (room.state.get().status === "joined") fresh();
    ends.push(room.use());
    return () => {
      for (const end of ends) end();
    };
  }, [room]);
  return { room, state: useStore(room.state) };
}

/** What became of a request. */
export interface Asked<T> {
  /** Of the last answer. */
  data: T | undefined;
  /** Of the last try. */
  error: Error | undefined;
  /** Until the next answer: also while there is no connection, but not where there is to be none. */
  isLoading: boolean;
  /** Asks anew. */
  again: () => void;
}

/** Asks the server when the component is there, when `data` has changed, and after each connection. */
export function useRequest<R extends RoutesOf<R>, K extends Asks<R>>(
  client: Client<R>,
  route: K,
  ...[data, options]: undefined extends Of<R, K, "request">
    ? [data?: Of<R, K, "request">, options?: Omit<AskOptions, "signal">]
    : [data: Of<R, K, "request">, options?: Omit<AskOptions, "signal">]
): Asked<Of<R, K, "reply">> {
  type Answer = Omit<Asked<Of<R, K, "reply">>, "again">;
  const none = { route, data: undefined, error: undefined, isLoading: true };
  const [last, setAnswer] = useState<Answer & { route: K }>(none);
  const [turn, setTurn] = useState(0);
  const latest = useRef({ data, options });
  useEffect(() => {
    latest.current = { data, options };
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: data by its value, not by its identity
  useEffect(() => {
    let asking = new AbortController();
    const ask = async () => {
      asking.abort();
      asking = new AbortController();
      const { signal } = asking;
      setAnswer((last) => (last.route === route ? { ...last, isLoading: true } : none));
      const { data, options } = latest.current;
      const ask = client.request as (...args: unknown[]) => Promise<Of<R, K, "reply">>;
      try {
        const reply = await ask.call(client, route, data, { ...options, signal });
        if (!signal.aborted) setAnswer({ route, data: reply, error: undefined, isLoading: false });
      } catch (caught) {
        const error = caught as Error;
        if (!signal.aborted) setAnswer((last) => ({ ...last, error, isLoading: false }));
      }
    };
    const end = client.state.subscribe(({ status }) => {
      if (status === "online") ask();
      // There will be no answer before somebody connects.
      const isOver = status === "ended" || status === "idle";
      if (isOver || status === "connecting") setAnswer((last) => ({ ...last, isLoading: !isOver }));
    });
    return () => {
      end();
      asking.abort();
    };
  }, [client, route, JSON.stringify(data), turn]);
  // What another route has answered is of another type.
  const { route: _, ...answer } = last.route === route ? last : none;
  return { ...answer, again: useCallback(() => setTurn((turn) => turn + 1), []) };
}
