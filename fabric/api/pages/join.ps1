# Lends this machine to the fabric at @URL@: finds Python @PYTHON@, installs the agent into an environment of its own, joins.
#   & ([scriptblock]::Create((irm @URL@/join))) --token fjt_…
$ErrorActionPreference = 'Stop'
$url = '@URL@'
$python = $null
foreach ($command in @(@('py', '-@PYTHON@'), @('python@PYTHON@'), @('python'))) {
    if (-not (Get-Command $command[0] -ErrorAction SilentlyContinue)) { continue }
    $options = @($command | Select-Object -Skip 1)
    $found = & $command[0] @options -c "import sys; print('%d.%d' % sys.version_info[:2])" 2>$null
    if ($found -eq '@PYTHON@') { $python = $command; break }
}
if ($null -eq $python) {
    Write-Error 'This fabric runs Python @PYTHON@, and this machine has none. Install it, then run this line again.'
    exit 1
}
$script = Join-Path ([System.IO.Path]::GetTempPath()) ("fabric-install-" + [System.Guid]::NewGuid() + ".py")
try {
    Invoke-WebRequest -UseBasicParsing -Uri "$url/join/install.py" -OutFile $script
    $options = @($python | Select-Object -Skip 1)
    & $python[0] @options $script --url $url @args
    exit $LASTEXITCODE
} finally {
    Remove-Item -Force -ErrorAction SilentlyContinue $script
}
