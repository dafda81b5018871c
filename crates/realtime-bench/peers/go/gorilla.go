// gorilla/websocket: `b…` goes to everybody, `e…` back to its sender. Each connection has a
// channel and a goroutine that writes, as in the library's own chat example.
package main

import (
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

var (
	upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	lock     sync.RWMutex
	clients  = map[chan []byte]struct{}{}
)

func serve(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	queue := make(chan []byte, 256)
	lock.Lock()
	clients[queue] = struct{}{}
	lock.Unlock()
	go func() {
		for message := range queue {
			if conn.WriteMessage(websocket.TextMessage, message) != nil {
				return
			}
		}
	}()
	defer func() {
		lock.Lock()
		delete(clients, queue)
		close(queue)
		lock.Unlock()
		conn.Close()
	}()
	for {
		_, message, err := conn.ReadMessage()
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
