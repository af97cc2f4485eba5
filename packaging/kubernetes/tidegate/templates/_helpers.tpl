{{- define "tidegate.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels by which pods are selected. Call with (dict "root" $ "tier" "edge"). */}}
{{- define "tidegate.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .tier }}
{{- end -}}

{{- define "tidegate.labels" -}}
{{ include "tidegate.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tidegate
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "tidegate.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* TOML of a dictionary. Helm reads all numbers as floats; the configuration has integers. */}}
{{- define "tidegate.toml" -}}
{{- $toml := toToml . -}}
{{- $toml = regexReplaceAll "(?m)^(\\s*[\\w-]+ = -?\\d+)\\.0$" $toml "${1}" -}}
{{- $toml = regexReplaceAll "(?m)^(\\s*[\\w-]+ = )\\[(\\d+)\\.0, (\\d+)\\.0\\]$" $toml "${1}[${2}, ${3}]" -}}
{{- $toml -}}
{{- end -}}

{{/* The addresses of the shields, as a JSON list. */}}
{{- define "tidegate.shields" -}}
{{- $full := include "tidegate.fullname" . -}}
{{- $scheme := ternary "https" "http" (ne .Values.internalTls.secretName "") -}}
{{- $port := ternary 8444 8081 (ne .Values.internalTls.secretName "") -}}
{{- $service := printf "%s-shield.%s.svc" $full .Release.Namespace -}}
{{- $addresses := list -}}
{{- if .Values.shield.enabled -}}
{{- if eq .Values.shield.discovery "dns" -}}
{{- $addresses = list (printf "dns+%s://%s:%d" $scheme $service $port) -}}
{{- else -}}
{{- range until (int .Values.shield.replicas) -}}
{{- $addresses = append $addresses (printf "%s://%s-shield-%d.%s:%d" $scheme $full . $service $port) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $addresses -}}
{{- end -}}

{{/* The configuration of a tier. @NODE@ is the pod's name. Call with (dict "root" $ "tier" "edge"). */}}
{{- define "tidegate.config" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .tier -}}
{{- $operators := $root.Values.operators -}}
{{- $listen := dict "operators" (printf "%s:%d" $operators.host (int $operators.port)) -}}
{{- $_ := set $listen "operators_token" "/etc/tidegate/operators/token" -}}
{{- $config := dict "node" "@NODE@" "listen" $listen -}}
{{- $_ := set $config "drain" (dict "timeout" (printf "%ds" (int $values.drain.timeoutSeconds))) -}}
{{- $sites := list -}}
{{- if eq .tier "edge" -}}
{{- $_ := set $listen "viewers" "0.0.0.0:8080" -}}
{{- $_ := set $config "shields" (include "tidegate.shields" $root | fromJsonArray) -}}
{{- if $values.tls.secretName -}}
{{- $tls := dict "address" "0.0.0.0:8443" -}}
{{- $_ := set $tls "certificate" "/etc/tidegate/viewers-tls/tls.crt" -}}
{{- $_ := set $tls "key" "/etc/tidegate/viewers-tls/tls.key" -}}
{{- $_ := set $listen "tls" $tls -}}
{{- end -}}
{{- range $root.Values.sites -}}
{{- if or .direct (not $root.Values.shield.enabled) -}}
{{- $sites = append $sites . -}}
{{- else -}}
{{- $sites = append $sites (omit . "origins" "origin_headers" "origin_host") -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $_ := set $listen "viewers" "0.0.0.0:8081" -}}
{{- $sites = $root.Values.sites -}}
{{- if $root.Values.internalTls.secretName -}}
{{- $tls := dict "address" "0.0.0.0:8444" -}}
{{- $_ := set $tls "certificate" "/etc/tidegate/internal-tls/tls.crt" -}}
{{- $_ := set $tls "key" "/etc/tidegate/internal-tls/tls.key" -}}
{{- $_ := set $tls "client_ca" "/etc/tidegate/internal-tls/ca.crt" -}}
{{- $_ := set $listen "tls" $tls -}}
{{- $_ := set $listen "viewers" "127.0.0.1:8081" -}}
{{- end -}}
{{- end -}}
{{- $_ := set $config "site" $sites -}}
{{- if and (eq .tier "edge") $root.Values.internalTls.secretName -}}
{{- $tls := dict "ca" "/etc/tidegate/internal-tls/ca.crt" -}}
{{- $_ := set $tls "certificate" "/etc/tidegate/internal-tls/tls.crt" -}}
{{- $_ := set $tls "key" "/etc/tidegate/internal-tls/tls.key" -}}
{{- $_ := set $config "upstream" (dict "tls" $tls) -}}
{{- end -}}
{{- include "tidegate.toml" (mergeOverwrite $config (deepCopy $values.config)) -}}
{{- end -}}

{{/* The pod of a tier, from `metadata` on. Call with (dict "root" $ "tier" "edge" "port" 8080 "tlsPort" 8443). */}}
{{- define "tidegate.pod" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .tier -}}
{{- $full := include "tidegate.fullname" $root -}}
{{- $internal := $root.Values.internalTls.secretName -}}
{{- $isEdge := eq .tier "edge" -}}
{{- $viewersTls := and $isEdge $values.tls.secretName -}}
{{- $plain := or $isEdge (not $internal) -}}
{{- $tls := or $viewersTls (and (not $isEdge) $internal) -}}
metadata:
  labels:
    {{- include "tidegate.labels" . | nindent 4 }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "tidegate.config" . | sha256sum }}
    kubectl.kubernetes.io/default-container: tidegate
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ $full }}-{{ .tier }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  # The drain begins when the load balancers know, and ends before the pod is killed.
  terminationGracePeriodSeconds: {{ add $values.drain.endpointsSeconds $values.drain.timeoutSeconds 10 }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  topologySpreadConstraints:
    {{- if $values.topologySpreadConstraints }}
    {{- toYaml $values.topologySpreadConstraints | nindent 4 }}
    {{- else }}
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "tidegate.selector" $ | nindent 10 }}
      {{- if $isEdge }}
      matchLabelKeys: [pod-template-hash]
      {{- end }}
    {{- end }}
    {{- end }}
  {{- with $values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  initContainers:
    - name: node-name
      image: {{ $root.Values.nodeName.image }}
      command: [sh, -c, 'sed "s/@NODE@/$POD_NAME/" /template/{{ .tier }}.toml > /etc/tidegate/node/{{ .tier }}.toml']
      env:
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
      securityContext: &restricted
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      resources:
        requests: {cpu: 10m, memory: 16Mi}
        limits: {memory: 16Mi}
      volumeMounts:
        - {name: template, mountPath: /template, readOnly: true}
        - {name: node, mountPath: /etc/tidegate/node}
  containers:
    - name: tidegate
      image: {{ include "tidegate.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: [tidegate]
      args: [{{ .tier }}, --config, /etc/tidegate/node/{{ .tier }}.toml]
      env:
        - {name: TIDEGATE_LOG, value: {{ $root.Values.log | quote }}}
        {{- with $values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        {{- if $plain }}
        - {name: http, containerPort: {{ .port }}}
        {{- end }}
        {{- if $tls }}
        - {name: https, containerPort: {{ .tlsPort }}}
        {{- end }}
        - {name: operators, containerPort: {{ $root.Values.operators.port }}}
      securityContext: *restricted
      startupProbe:
        httpGet: {path: /healthz, port: operators}
        periodSeconds: 1
        failureThreshold: 30
      livenessProbe:
        httpGet: {path: /healthz, port: operators}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: operators}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 2
      lifecycle:
        preStop:
          sleep: {seconds: {{ $values.drain.endpointsSeconds }}}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      volumeMounts:
        - {name: node, mountPath: /etc/tidegate/node, readOnly: true}
        - {name: operators, mountPath: /etc/tidegate/operators, readOnly: true}
        {{- if $viewersTls }}
        - {name: viewers-tls, mountPath: /etc/tidegate/viewers-tls, readOnly: true}
        {{- end }}
        {{- if $internal }}
        - {name: internal-tls, mountPath: /etc/tidegate/internal-tls, readOnly: true}
        {{- end }}
  volumes:
    - name: template
      {{- if eq $root.Values.configStore "Secret" }}
      secret: {secretName: {{ $full }}-{{ .tier }}, defaultMode: 0440}
      {{- else }}
      configMap: {name: {{ $full }}-{{ .tier }}}
      {{- end }}
    - name: node
      emptyDir: {medium: Memory, sizeLimit: 1Mi}
    {{- with $root.Values.operators.tokenSecret }}
    - name: operators
      secret: {secretName: {{ .name }}, defaultMode: 0440, items: [{key: {{ .key }}, path: token}]}
    {{- end }}
    {{- if $viewersTls }}
    - name: viewers-tls
      secret: {secretName: {{ $values.tls.secretName }}, defaultMode: 0440}
    {{- end }}
    {{- if $internal }}
    - name: internal-tls
      secret: {secretName: {{ $internal }}, defaultMode: 0440}
    {{- end }}
{{- end -}}
