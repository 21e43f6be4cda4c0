# The student's prompt: who and where, and red where the last command failed.
if [ -n "${BASH_VERSION:-}" ] && [ -n "${PS1:-}" ]; then
  PS1='\[\e[1;32m\]\u@\h\[\e[0m\]:\[\e[1;34m\]\w\[\e[0m\]\$ '
  HISTCONTROL=ignoredups
  HISTSIZE=5000
  shopt -s checkwinsize histappend
  alias ls='ls --color=auto' ll='ls -l' grep='grep --color=auto'
  if [ -f /usr/share/bash-completion/bash_completion ]; then
    . /usr/share/bash-completion/bash_completion
  fi
fi
