{{- /* What a person reads who writes a wrong value: all that is wrong at once, each line with the value and what to write. The schema knows keys and types alone, for it can say no more of a form than its regular expression. */ -}}
{{- define "kiln.validate" -}}
{{- $faults := list "kiln.faults.values" "kiln.faults.registry" "kiln.faults.names" "kiln.faults.settings" "kiln.faults.proxy" "kiln.faults.network" "kiln.faults.objects" }}
{{- $all := list }}
{{- range $faults }}
{{- range splitList "\n" (include . $) }}
{{- with trim . }}{{ $all = append $all . }}{{ end }}
{{- end }}
{{- end }}
{{- with $all }}{{ fail (printf "\n%s" (join "\n" .)) }}{{ end }}
{{- end }}

{{- define "kiln.faults.values" -}}
{{- with .Values }}
{{- if not .image }}
image is not set: none of kiln is published, so build one with `make image`, push it to your registry, and write --set image=registry.example.com/kiln:v1
{{- end }}
{{- range $key, $image := dict "image" .image "runner.image" .runner.image }}
{{- if and $image (not (regexMatch "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$" $image)) }}
{{ $key }} is {{ $image | quote }}: write an image with registry and tag, such as registry.example.com/kiln:v1
{{- end }}
{{- end }}
{{- if not .runner.image }}
runner.image is not set: write the image of the runner container, such as ghcr.io/actions/actions-runner:latest
{{- end }}
{{- if eq .mode "kubernetes-novolume" }}
mode is "kubernetes-novolume": kiln does not support that containerMode, in which the work folder is no volume that the pod of an action could mount: write sealed or kubernetes
{{- else if not (has .mode (list "sealed" "kubernetes")) }}
mode is {{ .mode | quote }}: write sealed or kubernetes
{{- else if and (eq .mode "kubernetes") (not .scaleSets) (not .serviceAccounts) }}
scaleSets is empty: in mode kubernetes kiln uses the service account of each runner scale set, so name them, such as --set 'scaleSets={my-set}'
{{- end }}
{{- if not (regexMatch "^/[^\"'\\\\\\s]+\\.(js|sh)$" .runner.delegate) }}
runner.delegate is {{ .runner.delegate | quote }}: write the path of the stock hook in the runner's image, such as /home/runner/k8s/index.js
{{- end }}
{{- if not (has .runner.handle (list "all" "dockerfile" "job")) }}
runner.handle is {{ .runner.handle | quote }}: write all, dockerfile or job
{{- end }}
{{- if not (has .runner.accessMode (list "ReadWriteOnce" "ReadWriteMany")) }}
runner.accessMode is {{ .runner.accessMode | quote }}: write ReadWriteOnce or ReadWriteMany, since the pods of actions mount the work volume too
{{- else if and (eq .runner.accessMode "ReadWriteOnce") (eq (get .settings "KILN_PLACEMENT" | toString) "anywhere") }}
runner.accessMode is "ReadWriteOnce" and settings.KILN_PLACEMENT is "anywhere": write ReadWriteMany and a runner.storageClass that gives such volumes, or same-node
{{- end }}
{{- range $key, $quantity := dict "runner.workSize" .runner.workSize "sidecar.resources.requests.cpu" .sidecar.resources.requests.cpu "sidecar.resources.requests.memory" .sidecar.resources.requests.memory }}
{{- if not (regexMatch "^[0-9]+(\\.[0-9]+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$" ($quantity | toString)) }}
{{ $key }} is {{ $quantity | toString | quote }}: write a Kubernetes quantity, such as 10Gi
{{- end }}
{{- end }}
{{- range $key, $quantity := dict "cpu" .sidecar.resources.limits.cpu "memory" .sidecar.resources.limits.memory }}
{{- if not (regexMatch "^([0-9]+(\\.[0-9]+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?)?$" ($quantity | default "" | toString)) }}
sidecar.resources.limits.{{ $key }} is {{ $quantity | toString | quote }}: write a Kubernetes quantity, such as 512Mi, or "" for none
{{- end }}
{{- end }}
{{- with .sidecar.resources.limits.memory }}
{{- $units := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- $unit := regexFind "[a-zA-Z]*$" (toString .) }}
{{- if and (hasKey $units $unit) (lt (mulf (regexFind "^[0-9.]+" (toString .) | float64) (get $units $unit)) (mulf 136.0 1048576.0)) }}
sidecar.resources.limits.memory is {{ toString . | quote }}: write 136Mi or more, or "" for none: with less kilnd could not keep its worker below the limit
{{- end }}
{{- end }}
{{- if not (regexMatch "^[0-9]+(ms|s|m)$" .metrics.podMonitor.interval) }}
metrics.podMonitor.interval is {{ .metrics.podMonitor.interval | quote }}: write a duration, such as 15s
{{- end }}
{{- end }}
{{- end }}

{{- define "kiln.faults.registry" -}}
{{- with .Values.registry }}
{{- if and (not .host) (not (and .pushHost .pullHost)) }}
registry.host is not set: write the registry and path for the images of actions, such as --set registry.host=ghcr.io/acme/kiln
{{- end }}
{{- range $key, $host := dict "host" .host "pushHost" .pushHost "pullHost" .pullHost }}
{{- if not $host }}
{{- else if contains "@" $host }}
registry.{{ $key }} has an @: write the registry and path alone, such as ghcr.io/acme/kiln; credentials belong into the Secret that registry.secretName names
{{- else if contains "://" $host }}
registry.{{ $key }} is {{ $host | quote }}: write it without the scheme, as {{ regexReplaceAll "^.*://" $host "" }}
{{- else if regexMatch "/[^/]*:[^/]*$" $host }}
registry.{{ $key }} is {{ $host | quote }}: write it without a tag, as {{ regexReplaceAll ":[^/]*$" $host "" }}; kiln adds the image's name and tag
{{- else if not (regexMatch "^[^/]*[.:]" $host) }}
registry.{{ $key }} is {{ $host | quote }}, which names no registry: write the host with its domain or port, such as docker.io/{{ $host }} or {{ regexReplaceAll "/.*$" $host "" }}:5000
{{- else if not (regexMatch "^[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*/?$" $host) }}
registry.{{ $key }} is {{ $host | quote }}: write a host, and after it a path of small letters and digits, such as ghcr.io/acme/kiln
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "kiln.faults.names" -}}
{{- with .Values }}
{{- range $key, $name := dict "registry.secretName" .registry.secretName "registry.pullSecretName" .registry.pullSecretName "registry.caConfigMap" .registry.caConfigMap "proxy.secretName" .proxy.secretName "runner.storageClass" .runner.storageClass }}
{{- if not (regexMatch "^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$" $name) }}
{{ $key }} is {{ $name | quote }}, which is no name in Kubernetes: write small letters, digits and dashes, such as kiln-registry, or "" for none
{{- end }}
{{- end }}
{{- range $key, $names := dict "imagePullSecrets" .imagePullSecrets "serviceAccounts" .serviceAccounts }}
{{- range $names }}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$" .) }}
{{ $key }} has {{ . | quote }}, which is no name in Kubernetes: write small letters, digits and dashes
{{- end }}
{{- end }}
{{- end }}
{{- range .scaleSets }}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?$" .) }}
scaleSets has {{ . | quote }}, which is no name of a scale set: write its name in Kubernetes, at most 45 small letters, digits and dashes, such as my-set
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Settings that another value makes, or the overlay. */ -}}
{{- define "kiln.faults.settings" -}}
{{- $elsewhere := dict
  "ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST" "registry.host"
  "ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PUSH" "registry.pushHost"
  "ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST_PULL" "registry.pullHost"
  "ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_SECRET_NAME" "registry.secretName"
  "ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE" "hookTemplate"
  "KILN_BUILD_TEMPLATE" "buildTemplate"
  "KILN_CA_CONFIGMAP" "registry.caConfigMap"
  "KILN_CA_FILE" "registry.caConfigMap"
  "KILN_DOCKER_CONFIG" "registry.secretName"
  "KILN_PULL_SECRET_NAME" "registry.pullSecretName"
  "KILN_PULL_DOCKER_CONFIG" "registry.pullSecretName"
  "HTTP_PROXY" "proxy.http"
  "HTTPS_PROXY" "proxy.https"
  "NO_PROXY" "proxy.noProxy"
}}
{{- range $name, $_ := .Values.settings }}
{{- if hasKey $elsewhere $name }}
settings.{{ $name }} is what the value {{ get $elsewhere $name }} sets: write that in its place
{{- else if has $name (list "KILN_EXCHANGE" "KILN_LISTEN" "KILN_IDENTITY_TOKEN_FILE" "KILN_STATE" "KILN_METRICS_LISTEN" "KILN_NAMESPACE" "KILN_POD_NAME") }}
settings.{{ $name }} is what the overlay of the runner pod fixes: leave it out
{{- end }}
{{- end }}
{{- $cloud := get .Values.settings "KILN_IDENTITY" | default "" | toString }}
{{- if not (has $cloud (list "" "aws" "azure" "gcp")) }}
settings.KILN_IDENTITY is {{ $cloud | quote }}: write aws, azure or gcp
{{- end }}
{{- if and (eq $cloud "gcp") (not (get .Values.settings "KILN_IDENTITY_GCP_PROVIDER")) }}
settings.KILN_IDENTITY is gcp: write settings.KILN_IDENTITY_GCP_PROVIDER too, for which the token is made
{{- end }}
{{- end }}

{{- define "kiln.faults.proxy" -}}
{{- with .Values.proxy }}
{{- $secret := .secretName }}
{{- range $key, $url := dict "http" .http "https" .https }}
{{- $variable := printf "%s_PROXY" (upper $key) }}
{{- if not $url }}
{{- else if contains "@" $url }}
proxy.{{ $key }} has a user: write the URL into the key {{ $variable }} of a Secret, and that Secret's name into proxy.secretName
{{- else if $secret }}
proxy.{{ $key }} and proxy.secretName are both set: leave out the first, and write its URL into the key {{ $variable }} of the Secret {{ $secret }}
{{- else if not (regexMatch "^https?://[A-Za-z0-9.:\\[\\]-]+/?$" $url) }}
proxy.{{ $key }} is {{ $url | quote }}: write a URL, such as http://proxy.example.com:3128
{{- end }}
{{- end }}
{{- range .noProxy }}
{{- if not (regexMatch "^[A-Za-z0-9.:*/-]+$" .) }}
proxy.noProxy has {{ . | quote }}: write a host, a domain or a range, such as .example.com or 10.0.0.0/8
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "kiln.faults.network" -}}
{{- with .Values.networkPolicy }}
{{- range $key, $ranges := dict "metadata" .metadata "apiServer" .apiServer "cluster" .cluster }}
{{- range $ranges }}
{{- if not (regexMatch "^[0-9a-fA-F.:]+/[0-9]{1,3}$" .) }}
networkPolicy.{{ $key }} has {{ . | quote }}: write a range, such as 10.0.0.0/8, or 10.0.0.1/32 for one address
{{- end }}
{{- end }}
{{- end }}
{{- range $key, $peers := dict "dns" .dns "allow" .allow "egress" .egress }}
{{- range $peers }}
{{- if and .cidr .namespace }}
networkPolicy.{{ $key }} has an entry with cidr and namespace: make two of it
{{- else if .cidr }}
{{- if not (regexMatch "^[0-9a-fA-F.:]+/[0-9]{1,3}$" .cidr) }}
networkPolicy.{{ $key }} has the cidr {{ .cidr | quote }}: write a range, such as 10.0.0.0/8, or 10.0.0.1/32 for one address; a policy knows no host names
{{- end }}
{{- else if not .namespace }}
networkPolicy.{{ $key }} has an entry that names nobody: give it cidr, or namespace and podLabels
{{- else if not (regexMatch "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" .namespace) }}
networkPolicy.{{ $key }} has the namespace {{ .namespace | quote }}: write its name, such as registry
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What the cluster has already under the names that values give. Nothing is found where nothing is installed, as in `helm template`. */ -}}
{{- define "kiln.faults.objects" -}}
{{- $namespace := .Release.Namespace }}
{{- with .Values }}
{{- $login := "kubernetes.io/dockerconfigjson" }}
{{- range $key, $name := dict "registry.secretName" .registry.secretName "registry.pullSecretName" .registry.pullSecretName }}
{{- with and $name (lookup "v1" "Secret" $namespace $name) }}
{{- if ne .type $login }}
{{ $key }} names the Secret {{ $name | quote }} of type {{ .type }}, which nodes and builds cannot use: delete it and create it with --type={{ $login }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name := .imagePullSecrets }}
{{- with lookup "v1" "Secret" $namespace $name }}
{{- if not (has .type (list $login "kubernetes.io/dockercfg")) }}
imagePullSecrets names the Secret {{ $name | quote }} of type {{ .type }}, which nodes cannot use: delete it and create it with --type={{ $login }}
{{- end }}
{{- end }}
{{- end }}
{{- with and .proxy.secretName (lookup "v1" "Secret" $namespace .proxy.secretName) }}
{{- if not (or (hasKey (.data | default dict) "HTTP_PROXY") (hasKey (.data | default dict) "HTTPS_PROXY")) }}
proxy.secretName names the Secret {{ .metadata.name | quote }} without a proxy: give it the keys HTTP_PROXY and HTTPS_PROXY, each with a URL
{{- end }}
{{- end }}
{{- with and .registry.caConfigMap (lookup "v1" "ConfigMap" $namespace .registry.caConfigMap) }}
{{- if not (hasKey (.data | default dict) "ca.crt") }}
registry.caConfigMap names the ConfigMap {{ .metadata.name | quote }} without authorities: give it the key ca.crt, with certificates in PEM form
{{- end }}
{{- end }}
{{- end }}
{{- end }}
