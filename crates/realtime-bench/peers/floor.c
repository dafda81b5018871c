/* The floor: what the kernel costs. One thread, one epoll, no more of WebSocket than the load
 * generator needs.
 *
 *   floor [--batch] --listen PORT
 *
 * A text frame that starts with `b` goes to everybody, one that starts with `e` back to its
 * sender. `jr0000012` joins room 12, `lr0000012` leaves it, and what starts with `rr0000012` goes to
 * its members. Replies to all frames of one read leave in one send. With --batch, what was broadcast
 * during one turn of the loop leaves in one send for each connection, too. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 1024, READ = 64 << 10, SOCKETS = 32768, MOST_QUEUED = 1 << 20, ROOMS = 1 << 17 };

struct buffer { uint8_t *data; size_t len, room; };

static void append(struct buffer *to, const void *data, size_t len) {
    if (to->len + len > to->room) {
        to->room = (to->len + len) * 2;
        to->data = realloc(to->data, to->room);
        if (!to->data) abort();
    }
    memcpy(to->data + to->len, data, len);
    to->len += len;
}

static void forget(struct buffer *b) { free(b->data); *b = (struct buffer){0}; }

/* `in` holds what is left of an unfinished frame, `out` what the socket did not take. */
struct connection { int open, at; struct buffer in, out; };

struct room { int *members, count, room; };

static struct connection *connections;
static struct room *rooms;
static int sockets[SOCKETS], count, epoll, batching;
static struct buffer tick;

static uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

/* SHA-1 of at most 119 bytes: two blocks, which a key and its suffix fit into. */
static void sha1(const char *text, size_t len, uint8_t out[20]) {
    uint8_t blocks[128] = {0};
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    size_t total = len < 56 ? 64 : 128;
    memcpy(blocks, text, len);
    blocks[len] = 0x80;
    blocks[total - 2] = len * 8 >> 8;
    blocks[total - 1] = len * 8;
    for (uint8_t *block = blocks; block < blocks + total; block += 64) {
        uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 |
                   block[4 * i + 3];
        for (int i = 16; i < 80; i++)
            w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (int i = 0; i < 80; i++) {
            uint32_t f, k;
            if (i < 20) f = (b & c) | (~b & d), k = 0x5a827999;
            else if (i < 40) f = b ^ c ^ d, k = 0x6ed9eba1;
            else if (i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
            else f = b ^ c ^ d, k = 0xca62c1d6;
            uint32_t next = rotate(a, 5) + f + e + k + w[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = next;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++) out[i] = h[i / 4] >> (24 - 8 * (i % 4));
}

static void base64(const uint8_t in[20], char out[29]) {
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 7; i++) {
        uint32_t three = in[3 * i] << 16 | in[3 * i + 1] << 8 | (i < 6 ? in[3 * i + 2] : 0);
        for (int j = 0; j < 4; j++) out[4 * i + j] = set[three >> (18 - 6 * j) & 63];
    }
    out[27] = '=';
    out[28] = 0;
}

static void leave(int fd) {
    struct connection *c = &connections[fd];
    forget(&c->in);
    forget(&c->out);
    sockets[c->at] = sockets[--count];
    connections[sockets[c->at]].at = c->at;
    *c = (struct connection){0};
    close(fd);
}

static void watch(int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

static void put(int fd, const uint8_t *data, size_t len) {
    struct connection *c = &connections[fd];
    ssize_t sent = 0;
    if (!c->out.len) {
        sent = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) sent = errno == EAGAIN ? 0 : (ssize_t)len;
        if ((size_t)sent < len) watch(fd, EPOLLIN | EPOLLOUT);
    }
    /* A reader that has stopped loses whole frames: only what is cut must be kept. */
    if ((size_t)sent < len && (sent || c->out.len < MOST_QUEUED))
        append(&c->out, data + sent, len - sent);
}

static void drain(int fd) {
    struct connection *c = &connections[fd];
    ssize_t sent = send(fd, c->out.data, c->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent <= 0) return;
    memmove(c->out.data, c->out.data + sent, c->out.len -= sent);
    if (!c->out.len) forget(&c->out), watch(fd, EPOLLIN);
}

static void to_all(const uint8_t *data, size_t len) {
    for (int i = 0; i < count; i++)
        if (connections[sockets[i]].open) put(sockets[i], data, len);
}

/* The room that a frame names behind its first letter. */
static struct room *named(const uint8_t *payload, size_t size) {
    int number = 0;
    if (size < 9) return NULL;
    for (int i = 2; i < 9; i++) number = number * 10 + (payload[i] - '0');
    return number >= 0 && number < ROOMS ? &rooms[number] : NULL;
}

static void join(struct room *r, int fd) {
    if (r->count == r->room) {
        r->room = r->room * 2 + 8;
        r->members = realloc(r->members, r->room * sizeof *r->members);
        if (!r->members) abort();
    }
    r->members[r->count++] = fd;
}

/* Nobody leaves a room by closing: the load generator has no use for it. */
static void part(struct room *r, int fd) {
    for (int i = 0; i < r->count; i++)
        if (r->members[i] == fd) { r->members[i] = r->members[--r->count]; return; }
}

static void to_room(const struct room *r, const uint8_t *data, size_t len) {
    for (int i = 0; i < r->count; i++) put(r->members[i], data, len);
}

/* Answers the upgrade; how many bytes it took, or 0 while its head isn't whole. */
static size_t upgrade(int fd, const uint8_t *data, size_t len) {
    static const char name[] = "sec-websocket-key: ", suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const uint8_t *end = memmem(data, len, "\r\n\r\n", 4);
    if (!end) return 0;
    char head[2048] = {0}, key[61] = {0}, accept[29], answer[160];
    uint8_t hash[20];
    memcpy(head, data, len < sizeof head ? len : sizeof head - 1);
    const char *at = strcasestr(head, name);
    if (!at) return 0;
    memcpy(key, at + sizeof name - 1, 24);
    memcpy(key + 24, suffix, 36);
    sha1(key, 60, hash);
    base64(hash, accept);
    int size = snprintf(answer, sizeof answer,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    connections[fd].open = 1;
    put(fd, (uint8_t *)answer, size);
    return end + 4 - data;
}

/* Takes one frame; how many bytes it took, 0 while it isn't whole, -1 at a close. */
static ssize_t frame(int fd, uint8_t *data, size_t len, struct buffer *replies) {
    size_t size, head = 2;
    struct room *room;
    if (len < 6) return 0;
    if ((data[0] & 15) == 8) return -1;
    size = data[1] & 127;
    if (size == 126) size = data[2] << 8 | data[3], head = 4;
    else if (size == 127) return -1;
    if (len < head + 4 + size) return 0;
    uint8_t *mask = data + head, *payload = mask + 4;
    for (size_t i = 0; i < size; i++) payload[i] ^= mask[i & 3];
    /* The header without a mask goes right in front of the payload. */
    uint8_t *out = payload - head;
    memmove(out, data, head);
    out[1] &= 127;
    if (size && payload[0] == 'e') append(replies, out, head + size);
    else if (size && payload[0] == 'b') {
        if (batching) append(&tick, out, head + size);
        else to_all(out, head + size);
    } else if ((room = named(payload, size))) {
        if (payload[0] == 'j') join(room, fd);
        else if (payload[0] == 'l') part(room, fd);
        else if (payload[0] == 'r') to_room(room, out, head + size);
    }
    return head + 4 + size;
}

static void take(int fd) {
    static uint8_t block[READ];
    static struct buffer replies;
    struct connection *c = &connections[fd];
    ssize_t got = recv(fd, block, sizeof block, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { leave(fd); return; }
    uint8_t *data = block;
    size_t len = got, done = 0;
    if (c->in.len) append(&c->in, block, got), data = c->in.data, len = c->in.len;
    while (done < len) {
        ssize_t took = c->open ? frame(fd, data + done, len - done, &replies)
                               : (ssize_t)upgrade(fd, data + done, len - done);
        if (took < 0) { replies.len = 0; leave(fd); return; }
        if (!took) break;
        done += took;
    }
    if (replies.len) put(fd, replies.data, replies.len), replies.len = 0;
    struct buffer rest = {0};
    if (done < len) append(&rest, data + done, len - done);
    forget(&c->in);
    c->in = rest;
}

static void enter(int listener) {
    for (int fd; (fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0;) {
        if (fd >= SOCKETS) { close(fd); continue; }
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connections[fd] = (struct connection){.at = count};
        sockets[count++] = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--batch")) batching = 1;
        else if (!strcmp(argv[i], "--listen") && ++i < argc) address.sin_port = htons(atoi(argv[i]));
        else return fprintf(stderr, "floor [--batch] --listen PORT\n"), 2;
    }
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    socklen_t size = sizeof address;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    connections = calloc(SOCKETS, sizeof *connections);
    rooms = calloc(ROOMS, sizeof *rooms);
    if (!connections || !rooms || bind(listener, (void *)&address, size) || listen(listener, 4096) ||
        getsockname(listener, (void *)&address, &size))
        return perror("floor"), 1;
    printf("listening on http://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll = epoll_create1(0);
    struct epoll_event events[EVENTS], first = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &first);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) { enter(fd); continue; }
            if (events[i].events & EPOLLOUT) drain(fd);
            if (events[i].events & ~EPOLLOUT) take(fd);
        }
        if (tick.len) to_all(tick.data, tick.len), tick.len = 0;
    }
}
