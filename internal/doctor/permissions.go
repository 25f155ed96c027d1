package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// lack is a right that somebody does not have.
type lack struct {
	account string // empty for oneself
	right   Right
	verb    string
}

// permissions asks the API server for every right of [Rights]: in the kiln
// container its own, elsewhere those of the runner pods' service accounts.
func (e *examination) permissions(ctx context.Context) []Finding {
	accounts := []string{""}
	var findings []Finding
	if !e.inSidecar() {
		accounts, findings = e.present(ctx, e.accounts())
	}
	type question struct {
		lack
		allowed bool
		err     error
	}
	var questions []question
	for _, account := range accounts {
		for _, right := range Rights() {
			for _, verb := range right.Verbs {
				questions = append(questions, question{lack: lack{account, right, verb}})
			}
		}
	}
	var group sync.WaitGroup
	for i := range questions {
		group.Go(func() { questions[i].allowed, questions[i].err = e.may(ctx, questions[i].lack) })
	}
	group.Wait()
	var lacks []lack
	for _, q := range questions {
		switch {
		case apierrors.IsForbidden(q.err):
			return append(findings, skip("you may not create subjectaccessreviews, which ask what "+e.subject(q.account)+" may do")...)
		case q.err != nil:
			return append(findings, warn("the API server does not tell what "+e.subject(q.account)+" may do: "+q.err.Error(), "run doctor again")...)
		case !q.allowed:
			lacks = append(lacks, q.lack)
		}
	}
	return orOK(append(findings, e.lackFindings(lacks)...), "all "+fmt.Sprint(len(questions))+" rights that kiln needs")
}

// sealedAccount is the service account of runner pods in sealed mode.
const sealedAccount = "kiln"

// accounts are the service accounts of the runner pods and of the scale sets with
// kiln; without any it is that of sealed mode.
func (e *examination) accounts() []string {
	names := map[string]bool{}
	for i := range e.pods {
		names[cmp.Or(e.pods[i].Spec.ServiceAccountName, "default")] = true
	}
	for _, s := range e.setsWithKiln() {
		names[cmp.Or(s.Spec.Template.Spec.ServiceAccountName, "default")] = true
	}
	if len(names) == 0 {
		names[sealedAccount] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// present returns those accounts that are there, or may be, and says what to do about
// the others: no Role helps an account that is not there.
func (e *examination) present(ctx context.Context, accounts []string) (there []string, findings []Finding) {
	for _, account := range accounts {
		found, err := e.client.Kube.ServiceAccounts(e.Namespace).Get(ctx, account, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			findings = append(findings, fail(fmt.Sprintf("there is no service account %s in namespace %s: no runner pod can start with it, and the token of one that runs is refused", account, e.Namespace),
				makeAccount(account)+"; then kubectl delete ephemeralrunner for the runners that wait or had it before")...)
		case err == nil && found.DeletionTimestamp != nil:
			findings = append(findings, fail(fmt.Sprintf("the service account %s is being deleted, and its tokens are refused", account),
				"see what scale-sets says of it, and once it is gone: "+makeAccount(account))...)
		default:
			there = append(there, account)
		}
	}
	return there, findings
}

// subject names an account in a sentence.
func (e *examination) subject(account string) string {
	if account == "" {
		return "kiln's service account"
	}
	return fmt.Sprintf("the service account %s", account)
}

// may asks for one right.
func (e *examination) may(ctx context.Context, l lack) (bool, error) {
	resource, subresource := l.right.split()
	attributes := &authorizationv1.ResourceAttributes{
		Namespace: e.Namespace, Verb: l.verb, Group: l.right.Group, Resource: resource, Subresource: subresource,
	}
	if l.account == "" {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes}}
		made, err := e.client.Kube.SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		return err == nil && made.Status.Allowed, err
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		ResourceAttributes: attributes,
		User:               "system:serviceaccount:" + e.Namespace + ":" + l.account,
		Groups:             []string{"system:serviceaccounts", "system:serviceaccounts:" + e.Namespace, "system:authenticated"},
	}}
	made, err := e.client.Kube.SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	return err == nil && made.Status.Allowed, err
}

// lackFindings gathers the verbs that an account lacks on a resource.
func (e *examination) lackFindings(lacks []lack) []Finding {
	type key struct{ account, group, resource string }
	verbs := map[key][]string{}
	optional := map[key]bool{}
	var order []key
	for _, l := range lacks {
		k := key{l.account, l.right.Group, l.right.Resource}
		if verbs[k] == nil {
			order = append(order, k)
		}
		verbs[k] = append(verbs[k], l.verb)
		optional[k] = l.right.Optional
	}
	var findings []Finding
	for _, k := range order {
		status := Fail
		if optional[k] {
			status = Warn
		}
		resource := k.resource
		if k.group != "" {
			resource += "." + k.group
		}
		list := strings.Join(verbs[k], ", ")
		findings = append(findings, one(status, fmt.Sprintf("%s may not %s %s in namespace %s", e.subject(k.account), list, resource, e.Namespace),
			fmt.Sprintf("%s, which binds the Role kiln to it; the Role has to have the verbs %s on %s, as manifests/rbac.yaml does", e.binder(k.account), list, resource))...)
	}
	return findings
}

// binder is what binds the Role to an account.
func (e *examination) binder(account string) string {
	if account == "" && len(e.pods) > 0 {
		account = e.pods[0].Spec.ServiceAccountName
	}
	if set, found := strings.CutSuffix(account, "-gha-rs-kube-mode"); found {
		return "name " + set + " in scaleSets of kiln's chart"
	}
	if account != "" && account != sealedAccount {
		return "name " + account + " in serviceAccounts of kiln's chart"
	}
	return "install kiln's chart, or apply manifests/, again"
}

// denied reports whether the API server refused for a missing right, as opposed
// to an admission plugin, which answers with the same code.
func denied(err error) bool {
	status := apierrors.APIStatus(nil)
	return errors.As(err, &status) && apierrors.IsForbidden(err) && strings.Contains(status.Status().Message, " cannot ")
}
