package podtest

import (
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// startLocked makes the pod of a Job, as the Job controller does: one, of the
// Job's template, with its label, and the Job for its owner. Where admission
// refuses it, an event of the Job says so and no pod comes.
func (c *Cluster) startLocked(job *batchv1.Job) error {
	if parallel := job.Spec.Parallelism; parallel != nil && *parallel == 0 {
		return nil
	}
	c.uids++
	pod := &corev1.Pod{ObjectMeta: *job.Spec.Template.ObjectMeta.DeepCopy(), Spec: *job.Spec.Template.Spec.DeepCopy()}
	pod.Name = job.Name + "-" + strconv.Itoa(c.uids)
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[batchv1.JobNameLabel] = job.Name
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))}
	pod.Status.Phase = corev1.PodPending
	if c.Admit != nil {
		if err := c.Admit(pod); err != nil {
			c.refuseLocked(job, err)
			return nil
		}
	}
	return c.addLocked(pod)
}

// failLocked ends the Job whose pod went, as the Job controller does where none may follow
// (a backoffLimit of 0).
func (c *Cluster) failLocked(pod object) {
	job, ok := c.objects[key{"jobs", pod.GetLabels()[batchv1.JobNameLabel]}].(*batchv1.Job)
	if !ok || !metav1.IsControlledBy(pod, job) {
		return
	}
	job = job.DeepCopy()
	job.Status.Failed = 1
	job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
		Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: batchv1.JobReasonBackoffLimitExceeded,
	})
	c.storeLocked(watch.Modified, job)
}

// refuseLocked tells of a pod that a Job does not get.
func (c *Cluster) refuseLocked(job *batchv1.Job, err error) {
	c.uids++
	now := metav1.Now()
	_ = c.addLocked(&corev1.Event{ // its name is new
		ObjectMeta:     metav1.ObjectMeta{Name: job.Name + "." + strconv.Itoa(c.uids)},
		InvolvedObject: corev1.ObjectReference{Kind: "Job", Name: job.Name, Namespace: c.Namespace},
		Reason:         "FailedCreate", Message: "Error creating: " + err.Error(), FirstTimestamp: now, LastTimestamp: now,
	})
}
