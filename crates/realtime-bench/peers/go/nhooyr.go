// nhooyr.io/websocket: `b…` goes to everybody, `e…` back to its sender. Each connection has a
// channel and a goroutine that writes, as in the library's own chat example.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"nhooyr.io/websocket"
)

var (
	lock    sync.RWMutex
	clients = map[chan []byte]struct{}{}
)

func write(ctx context.Context, conn *websocket.Conn, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return conn.Write(ctx, websocket.MessageText, message)
}

func serve(w http.ResponseWriter, r *http.Request) {
	options := &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled}
	conn, err := websocket.Accept(w, r, options)
	if err != nil {
		return
	}
	conn.SetReadLimit(1 << 20)
	queue := make(chan []byte, 256)
	lock.Lock()
	clients[queue] = struct{}{}
	lock.Unlock()
	go func() {
		for message := range queue {
			if write(r.Context(), conn, message) != nil {
				return
			}
		}
	}()
	defer func() {
		lock.Lock()
		delete(clients, queue)
		close(queue)
		lock.Unlock()
		conn.Close(websocket.StatusNormalClosure, "")
	}()
	for {
		_, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if message[0] == 'e' {
			queue <- message
			continue
		}
		lock.RLock()
		for client := range clients {
			select {
			case client <- message:
			default: // A reader that has stopped loses it.
			}
		}
		lock.RUnlock()
	}
}

func main() {
	http.HandleFunc("/ws", serve)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	panic(http.Serve(listener, nil))
}
