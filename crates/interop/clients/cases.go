// The cases for both packages of Go: each brings a `socket` of its own.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
)

type end struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
}

type object = map[string]interface{}

var offered = []string{"realtime.json"}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func encode(route string, id string, data interface{}) []byte {
	message := object{"route": route, "data": data}
	if id != "" {
		message["id"] = id
	}
	text, err := json.Marshal(message)
	check(err)
	return text
}

func dataOf(text []byte) interface{} {
	var message struct{ Data interface{} }
	check(json.Unmarshal(text, &message))
	return message.Data
}

func (s *socket) request(route string, data interface{}) interface{} {
	s.tell(route, "1", data)
	return s.next()
}

func identity(url string, protocols []string, header http.Header) interface{} {
	s, status := dial(url, protocols, header)
	if s == nil {
		return status
	}
	return s.request("who", nil).(object)["identity"]
}

func tokens(at string) interface{} {
	bearer := http.Header{"Authorization": {"Bearer let-me-in"}}
	cookie := http.Header{"Cookie": {"token=let-me-in"}}
	return object{
		"wrong":       identity(at+"?token=wrong", offered, nil),
		"query":       identity(at+"?token=let-me-in", offered, nil),
		"subprotocol": identity(at, append(offered, "token.let-me-in"), nil),
		"header":      identity(at, offered, bearer),
		"cookie":      identity(at, offered, cookie),
	}
}

func pushes(s *socket) interface{} {
	s.tell("push", "", 100)
	inOrder := 0
	for inOrder < 100 && s.next() == float64(inOrder) {
		inOrder++
	}
	return inOrder
}

func clientClose(url string) interface{} {
	return []interface{}{open(url).close(1000, ""), open(url).close(4001, "bye")}
}

func saw(name string, url string) interface{} {
	switch name {
	case "upgrade":
		s := open(url)
		return object{"protocol": s.protocol(), "echo": s.request("echo", "hello ☃")}
	case "large":
		s, sizes := open(url), []int{}
		for _, size := range []int{1_000_000, 16_000_000} {
			echo := s.request("echo", strings.Repeat("x", size)).(string)
			sizes = append(sizes, len(echo))
		}
		return sizes
	case "too-large":
		s := open(url)
		// Whether the send fails or not: why it ended is read.
		go func() {
			defer func() { recover() }()
			s.tell("echo", "", strings.Repeat("x", 18_000_000))
		}()
		return s.end()
	case "fragments":
		return open(url).fragments()
	case "pushes":
		return pushes(open(url))
	case "idle":
		return open(url).idle()
	case "ping":
		return open(url).ping()
	case "server-close":
		s := open(url)
		s.tell("close", "", object{"code": 4003, "reason": "not today"})
		return s.end()
	case "client-close":
		return clientClose(url)
	case "last-words":
		s := open(url)
		for number := 0; number < 40; number++ {
			s.tell("note", "", number)
		}
		return s.close(1000, "")
	case "tokens":
		return tokens(url + "/private")
	case "address":
		return open(url).request("who", nil).(object)["address"]
	case "shutdown":
		s := open(url)
		report(object{"ready": "shutdown"})
		return s.end()
	}
	return nil
}

func try(name string, url string) {
	line := object{"case": name}
	defer func() {
		if failure := recover(); failure != nil {
			line["error"] = fmt.Sprint(failure)
		}
		report(line)
	}()
	if line["saw"] = saw(name, url); line["saw"] == nil {
		line["unable"] = true
	}
}

func report(line object) {
	text, err := json.Marshal(line)
	check(err)
	fmt.Println(string(text))
}

func main() {
	for _, name := range os.Args[2:] {
		try(name, os.Args[1])
	}
	report(object{"done": true})
}
