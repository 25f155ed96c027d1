package doctor

import (
	"context"
	"fmt"
)

// plainLogin looks for logins that go without TLS.
func (e *examination) plainLogin(context.Context) []Finding {
	if e.operator == nil {
		return skip("settings has a fault")
	}
	return plainLoginFindings(e.operator.PlainLogin, e.operator.PlainLogin.CheckProxies(e.operator.Proxy.HTTP, e.operator.Proxy.HTTPS))
}

// plainLoginFindings judges the hosts of KILN_PLAIN_LOGIN, and a proxy whose
// login is held back.
func plainLoginFindings(named []string, held error) []Finding {
	var findings []Finding
	for _, host := range named {
		findings = append(findings, fail(fmt.Sprintf("logins go to %s without TLS: code of a build and code in the runner container can read them", host),
			"give "+host+" a certificate (registry.caConfigMap of the chart names an authority of your own), and take it out of KILN_PLAIN_LOGIN")...)
	}
	if held != nil {
		findings = append(findings, fail(held.Error(), "use a proxy with TLS or one without a login; KILN_PLAIN_LOGIN allows it all the same")...)
	}
	return orOK(findings, "no login goes without TLS")
}
