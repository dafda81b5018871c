// The package github.com/gorilla/websocket of Go.
package main

import (
	"bytes"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

type socket struct {
	*websocket.Conn
	pong chan string
}

func dial(url string, protocols []string, header http.Header) (*socket, int) {
	dialer := websocket.Dialer{Subprotocols: protocols}
	conn, response, err := dialer.Dial(url, header)
	if err != nil {
		if response != nil {
			return nil, response.StatusCode
		}
		panic(err)
	}
	conn.SetReadLimit(1 << 25)
	s := &socket{conn, make(chan string, 1)}
	conn.SetPongHandler(func(payload string) error { s.pong <- payload; return nil })
	return s, 0
}

func open(url string) *socket {
	s, _ := dial(url, []string{"realtime.json"}, nil)
	if s == nil {
		panic("refused")
	}
	return s
}

func (s *socket) tell(route string, id string, data interface{}) {
	check(s.WriteMessage(websocket.TextMessage, encode(route, id, data)))
}

func (s *socket) next() interface{} {
	_, text, err := s.ReadMessage()
	check(err)
	return dataOf(text)
}

// A server's ping is answered while somebody reads.
func (s *socket) end() end {
	for {
		if _, _, err := s.ReadMessage(); err != nil {
			closed, ok := err.(*websocket.CloseError)
			if !ok {
				panic(err)
			}
			return end{closed.Code, closed.Text}
		}
	}
}

func (s *socket) close(code int, reason string) interface{} {
	message := websocket.FormatCloseMessage(code, reason)
	check(s.WriteControl(websocket.CloseMessage, message, time.Now().Add(time.Second)))
	saw := s.end()
	s.Close()
	return saw
}

func (s *socket) protocol() string { return s.Subprotocol() }

// What doesn't fit into the buffer of 4 KB leaves as a frame. White space is no part of the data.
func (s *socket) fragments() interface{} {
	w, err := s.NextWriter(websocket.TextMessage)
	check(err)
	_, err = w.Write(bytes.Repeat([]byte(" "), 10000))
	check(err)
	_, err = w.Write(encode("echo", "1", "in three parts"))
	check(err)
	check(w.Close())
	return s.next()
}

func (s *socket) ping() interface{} {
	check(s.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(time.Second)))
	go s.ReadMessage()
	return <-s.pong
}

// Reads while nothing comes but pings, and then what was asked for.
func (s *socket) idle() interface{} {
	time.AfterFunc(4*time.Second, func() { s.tell("echo", "1", "still here") })
	return s.next()
}
