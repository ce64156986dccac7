protocols {
    static {
        route 10.0.0.0/8 {
            interface eth0 {
            }
        }
        route 172.31.1.1/32 {
            interface eth0 {
            }
        }
        route 0.0.0.0/0 {
            next-hop 172.31.1.1 {
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
    ethernet eth1 {
        vif 7 {
            address "198.51.100.1/24"
            mtu "1400"
        }
    }
    ethernet eth0 {
        address "192.0.2.10/32"
        address "2001:db8::10/64"
        mtu "9000"
    }
    loopback lo {
    }
}
system {
    domain-search "example.net"
    name-server "192.0.2.53"
    name-server "2001:db8::53"
    domain-name "example.net"
    config-management {
        commit-revisions "100"
    }
    console {
        device ttyS0 {
            speed "115200"
        }
    }
    host-name "near"
    login {
        user ops {
            authentication {
                public-keys admin@example.net {
                    key "AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
                    type "ssh-ed25519"
                }
            }
        }
        user netops {
            full-name "Net Ops"
            authentication {
                encrypted-password "$6$salt$pfWEh40/jW3sybE9zOQ9fIpZ9F6fyy/jogzYisHAyINpuc9icJd187oNK8pukepHV.QSHFtNVGUeWCRJCE9G4/"
                public-keys admin@example.net {
                    key "AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
                    type "ssh-ed25519"
                    options "no-pty,from=&quot;10.0.0.0/8,!10.0.0.1&quot;"
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
