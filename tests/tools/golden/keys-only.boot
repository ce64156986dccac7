service {
    ssh {
        disable-password-authentication
        port "22"
    }
}
interfaces {
    ethernet eth0 {
        address "dhcp"
    }
    loopback lo {
    }
}
system {
    config-management {
        commit-revisions "100"
    }
    console {
        device ttyS0 {
            speed "115200"
        }
    }
    host-name "vyos"
    login {
        user vyos {
            authentication {
                public-keys admin@example.net {
                    key "AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
                    type "ssh-ed25519"
                }
                encrypted-password "*"
            }
        }
    }
    syslog {
        local {
            facility all {
                level "info"
            }
        }
    }
}


// Warning: Do not remove the following line.
// vyos-config-version: "config-management@1:conntrack@5:interfaces@33:system@29"
// Release version: 2026.03.03-0027-rolling
