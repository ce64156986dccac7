protocols {
    static {
        route6 ::/0 {
            next-hop 2001:db8::1 {
            }
        }
        route 0.0.0.0/0 {
            next-hop 192.0.2.1 {
            }
        }
    }
}
service {
    ssh {
        disable-password-authentication
        port "22"
    }
}
interfaces {
    ethernet eth0 {
        address "192.0.2.10/24"
        address "2001:db8::10/64"
        hw-id "bc:24:11:aa:bb:cc"
    }
    loopback lo {
    }
}
system {
    domain-search "example.net"
    name-server "192.0.2.53"
    domain-name "example.net"
    config-management {
        commit-revisions "100"
    }
    console {
        device ttyS0 {
            speed "115200"
        }
    }
    host-name "edge1"
    login {
        user netadmin {
            authentication {
                encrypted-password "$6$salt$pfWEh40/jW3sybE9zOQ9fIpZ9F6fyy/jogzYisHAyINpuc9icJd187oNK8pukepHV.QSHFtNVGUeWCRJCE9G4/"
                public-keys admin@example.net {
                    key "AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
                    type "ssh-ed25519"
                }
            }
        }
        user vyos {
            authentication {
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
