// Made from an AsyncAPI document by `realtime-contract`. Don't edit it.

/**
 * Why lines can't be had.
 */
export type NotRead =
  | {
      code: "not_a_member";
    }
  | {
      code: "unavailable";
    };
/**
 * The gateway's own errors.
 */
export type GatewayRefusal = {
  code:
    | "bad_data"
    | "bad_request"
    | "internal"
    | "malformed"
    | "not_answered"
    | "timeout"
    | "too_many_requests"
    | "too_many_rooms"
    | "unanswered"
    | "unavailable"
    | "unknown_route";
} & GatewayTold;
/**
 * Why somebody isn't removed.
 */
export type NotRemoved =
  | {
      code: "forbidden";
    }
  | {
      code: "not_a_member";
    }
  | {
      code: "nobody";
    }
  | {
      code: "unavailable";
    };
/**
 * Why a line isn't said.
 */
export type NotSaid =
  | {
      code: "not_a_member";
    }
  | {
      code: "empty";
    }
  | {
      code: "too_long";
      data: {
        length: number;
        most: number;
      };
    }
  | {
      code: "bad_ref";
    };
/**
 * What isn't for those who are not in the room.
 */
export type NotAMember = {
  code: "not_a_member";
};

/**
 * What goes over each route.
 */
export interface Routes {
  /**
   * A moderator has removed somebody.
   */
  gone: {
    event: Gone;
  };
  /**
   * Somebody has said something.
   */
  line: {
    event: Line;
  };
  /**
   * Asks for the newest lines of a room, or those before an offset.
   */
  lines: {
    request: Earlier;
    reply: Page;
    error: NotRead | GatewayRefusal;
  };
  /**
   * Somebody comes or goes.
   */
  people: {
    event: Attendance;
  };
  /**
   * Removes somebody from a room: for moderators.
   */
  remove: {
    request: Remove;
    reply: Removal;
    error: NotRemoved | GatewayRefusal;
  };
  /**
   * Says a line in a room.
   */
  say: {
    request: Said;
    reply: undefined;
    error: NotSaid | GatewayRefusal;
  };
  /**
   * Tells the others in a room that somebody writes.
   */
  typing: {
    request: Typing;
    reply: undefined;
    error: NotAMember | GatewayRefusal;
    event: Writer;
  };
}
/**
 * Who was removed.
 */
export interface Gone {
  id: string;
}
/**
 * A line as everybody gets it. Who said it is the server's word, not the page's.
 */
export interface Line {
  /**
   * Milliseconds since 1970.
   */
  at: number;
  /**
   * The person.
   */
  from: string;
  name: string;
  ref: string;
  text: string;
}
export interface Earlier {
  /**
   * From an earlier page; without it the newest are meant.
   */
  before?: number | null;
  room: string;
}
export interface Page {
  /**
   * What to ask for next; nothing where there is nothing earlier.
   */
  before: number | null;
  lines: Kept[];
}
/**
 * A line with its place in the room.
 */
export interface Kept {
  /**
   * Milliseconds since 1970.
   */
  at: number;
  /**
   * The person.
   */
  from: string;
  name: string;
  offset: number;
  ref: string;
  text: string;
}
/**
 * What every error says beside its code.
 */
export interface GatewayTold {
  /**
   * For people.
   */
  message: string;
  /**
   * After so many seconds.
   */
  retry_after?: number;
  /**
   * Whether the same request may succeed later.
   */
  temporary: boolean;
}
/**
 * Who has come into a room, and who has left it.
 */
export interface Attendance {
  /**
   * Who has come.
   */
  joined?: Member[];
  /**
   * Who has gone.
   */
  left?: Member[];
}
/**
 * Somebody in a room: an identity, however many sessions it has there.
 */
export interface Member {
  /**
   * The id of the identity.
   */
  id: string;
  /**
   * Its tenant, where it has one.
   */
  tenant?: string;
  /**
   * Higher with each coming and each going of this identity in the room.
   */
  version: number;
}
export interface Remove {
  /**
   * As the gateway tells of them.
   */
  id: string;
  room: string;
}
/**
 * Somebody has been removed.
 */
export interface Removal {
  /**
   * How many connections of theirs were closed.
   */
  sessions: number;
}
/**
 * A line that somebody says. `ref` is the page's own name for it: sent twice, because the answer
 * got lost, it is said once.
 */
export interface Said {
  ref: string;
  room: string;
  text: string;
}
export interface Typing {
  room: string;
}
/**
 * Who writes.
 */
export interface Writer {
  name: string;
  person: string;
}
