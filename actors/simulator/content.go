package simulator

import "adpulse/messages"

// places are where simulated people are, latitude and longitude.
var places = [...]string{
	"52.366521,4.894981", "37.774929,-122.419416", "40.712776,-74.005974", "51.507351,-0.127758",
	"35.689487,139.691706", "-33.868820,151.209296", "12.971599,77.594563",
}

// sourceNames are who reports events, by event type.
var sourceNames = [...][]string{
	messages.Impression: publishers[:],
	messages.Click:      publishers[:],
	messages.Visit:      {"Acme Outfitters", "Northwind Travel", "Umbrella Health", "Initech Cloud", "Globex Motors"},
	messages.Conversion: {"Acme Store", "Northwind Booking", "Globex Shop", "Initech Marketplace"},
}

var publishers = [...]string{
	"Stack Underflow", "The Daily Byte", "Hacker Olds", "Slow Company", "Wired Less",
	"Ars Practica", "The Registrar", "Medium Rare", "Unread It",
}

// userAgents are five browsers and twelve bare device names, as the reference
// sends them: a filter that took those for robots would refuse its traffic.
var userAgents = [...]string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
	"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
	"iPhone 14", "iPhone 15 Pro", "iPad Air", "iPad Pro", "Galaxy S23", "Galaxy Tab S9",
	"Pixel 7", "Pixel Fold", "Kindle Fire", "Nokia 3310", "Apple TV", "Xbox Series X",
}

// bodyStarts and bodyEnds are what stands before and behind the tag in a body.
// Ends are by event type, then source, then user agent. The texts above need no
// escapes; a test decodes them.
var (
	bodyStarts = func() (starts [len(places)]string) {
		for i, place := range places {
			starts[i] = `{"geo":[` + place + `],"tag":"`
		}
		return starts
	}()
	bodyEnds = func() (ends [len(sourceNames)][]string) {
		for _, t := range messages.EventTypes {
			for _, source := range sourceNames[t] {
				for _, agent := range userAgents {
					ends[t] = append(ends[t], `","`+t.SourceField()+`":"`+source+`","event":"`+t.String()+`","userAgent":"`+agent+`"}`)
				}
			}
		}
		return ends
	}()
	bodyBytesMax = func() int {
		start, end := 0, 0
		for _, s := range bodyStarts {
			start = max(start, len(s))
		}
		for _, ends := range bodyEnds {
			for _, e := range ends {
				end = max(end, len(e))
			}
		}
		return start + 36 + end
	}()
)
