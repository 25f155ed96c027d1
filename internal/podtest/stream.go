package podtest

import (
	"net/http"

	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The protocol v5.channel.k8s.io: the first byte of a message is its channel.
const (
	streamProtocol = "v5.channel.k8s.io"
	channelStdin   = 0
	channelClose   = 255
)

// stream answers an attach over HTTP, by WebSocket alone. The container has its input when
// the client has closed it; what comes of a client that goes before is no input.
func (c *Cluster) stream(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		refuse(w, badRequest("the cluster streams by WebSocket alone"))
		return
	}
	pod, container := r.PathValue("name"), r.URL.Query().Get("container")
	life, err := c.attach(pod, container)
	if err != nil {
		refuse(w, apierrors.NewNotFound(group("pods"), pod))
		return
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{streamProtocol}}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the client was told
	}
	defer conn.Close()
	var input []byte
	for {
		_, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		switch message[0] {
		case channelStdin:
			input = append(input, message[1:]...)
		case channelClose:
			life.receive(container, input)
			life.finish(container)
			_ = conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
			return
		}
	}
}
