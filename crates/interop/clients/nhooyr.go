// The package nhooyr.io/websocket of Go.
package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"nhooyr.io/websocket"
)

var forever = context.Background()

type socket struct{ *websocket.Conn }

func dial(url string, protocols []string, header http.Header) (*socket, int) {
	options := &websocket.DialOptions{Subprotocols: protocols, HTTPHeader: header}
	conn, response, err := websocket.Dial(forever, url, options)
	if err != nil {
		if response != nil {
			return nil, response.StatusCode
		}
		panic(err)
	}
	conn.SetReadLimit(1 << 25)
	return &socket{conn}, 0
}

func open(url string) *socket {
	s, _ := dial(url, []string{"realtime.json"}, nil)
	if s == nil {
		panic("refused")
	}
	return s
}

func (s *socket) tell(route string, id string, data interface{}) {
	check(s.Write(forever, websocket.MessageText, encode(route, id, data)))
}

func (s *socket) next() interface{} {
	_, text, err := s.Read(forever)
	check(err)
	return dataOf(text)
}

func (s *socket) end() end {
	for {
		if _, _, err := s.Read(forever); err != nil {
			var closed websocket.CloseError
			if !errors.As(err, &closed) {
				panic(err)
			}
			return end{int(closed.Code), closed.Reason}
		}
	}
}

// Close waits for the peer's close frame, and is an error if the code in it is another one.
func (s *socket) close(code int, reason string) interface{} {
	check(s.Close(websocket.StatusCode(code), reason))
	return end{code, reason}
}

func (s *socket) protocol() string { return s.Subprotocol() }

// Each write to a writer is a frame of the same message.
func (s *socket) fragments() interface{} {
	text := encode("echo", "1", "in three parts")
	w, err := s.Writer(forever, websocket.MessageText)
	check(err)
	for _, part := range [][]byte{text[:9], text[9:20], text[20:]} {
		_, err = w.Write(part)
		check(err)
	}
	check(w.Close())
	return s.next()
}

// Ping waits for the pong with the same payload, which it chooses by itself.
func (s *socket) ping() interface{} {
	go s.Read(forever)
	ctx, cancel := context.WithTimeout(forever, 5*time.Second)
	defer cancel()
	check(s.Ping(ctx))
	return "are you there"
}

// Reads while nothing comes but pings, and then what was asked for.
func (s *socket) idle() interface{} {
	time.AfterFunc(4*time.Second, func() { s.tell("echo", "1", "still here") })
	return s.next()
}
